"""What live workers use: the web, files below one root, and programs run in a sandbox. Each bounded in time and size."""
