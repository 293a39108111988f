"""What live workers use: the web, files below one root, programs in a sandbox. Each bounded in time and size."""
