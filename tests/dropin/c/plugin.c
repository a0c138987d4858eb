/* A library for opener.c to open, with a malloc and a free as it finds them. */
#include <stdlib.h>

void *plugin_malloc(size_t size) { return malloc(size); }
void plugin_free(void *block) { free(block); }
void *plugin_address_of_malloc(void) { return (void *)malloc; }
