/* A library that opens libplugin.so by its name alone: only this library's own RUNPATH leads there. */
#define _GNU_SOURCE
#include <dlfcn.h>

void *open_plugin(int mode) { return dlopen("libplugin.so", mode); }
void *open_plugin_in(Lmid_t space, int mode) { return dlmopen(space, "libplugin.so", mode); }
