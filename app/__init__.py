"""CoMask Studio: the web app over the library, run from the checkout."""

import os

# Read by gradio and huggingface_hub when they are imported, so before any room imports them: no
# analytics, no version check, no sharing, nothing from the hub.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_SHARE"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
# Gradio asks for the drawing library's backend, which would load Qt into the server where it is
os.environ["MPLBACKEND"] = "agg"
