"""Makes what is handed out: the source package, the wheels and the Debian packages."""
