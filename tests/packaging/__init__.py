"""What the build gives: the libraries and the packages."""
