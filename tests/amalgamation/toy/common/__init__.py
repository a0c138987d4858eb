"""What the toy's libraries would share, if it had more than one."""
