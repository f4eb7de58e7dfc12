"""What people do in the Studio as functions: values in, values out, no web framework."""
