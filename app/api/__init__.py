"""The routes that the drawing surface talks to: documents, images, uploads and exports."""
