"""CoMask Studio: the web app over the library, run from the checkout."""
