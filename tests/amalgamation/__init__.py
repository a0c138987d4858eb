"""The build step between the engine and the C compiler: what it accepts, refuses and writes."""
