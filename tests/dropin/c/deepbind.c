/* A program whose library opens a plug-in: deepbind HOW SAME. HOW is `plain` or `deep` (RTLD_DEEPBIND), or these with `m`
 * in front (dlmopen into this namespace), or `apart` (dlmopen into a new one). SAME says whether the plug-in must find
 * the program's own malloc: 1 or 0. Blocks then go back and forth.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

#include "check.h"

void *open_plugin(int mode);
void *open_plugin_in(Lmid_t space, int mode);

static void *find(void *plugin, const char *name)
{
    void *found = dlsym(plugin, name);

    MUST(found);
    return found;
}

int main(int count, char **words)
{
    MUST(count == 3);
    const char *how = words[1];
    int is_same = words[2][0] == '1', mode = RTLD_NOW | (strstr(how, "deep") ? RTLD_DEEPBIND : 0);
    void *plugin = how[0] == 'm' ? open_plugin_in(LM_ID_BASE, mode)
                   : how[0] == 'a' ? open_plugin_in(LM_ID_NEWLM, mode)
                                   : open_plugin(mode);

    if (!plugin)
        dprintf(2, "%s\n", dlerror());
    MUST(plugin);
    MUST(!dlopen("libplugin.so", RTLD_NOW | RTLD_NOLOAD) == (how[0] == 'a'));
    MUST(!dlopen("libnosuch.so", mode) && strstr(dlerror(), "libnosuch.so"));
    void *(*address_of_malloc)(void) = (void *(*)(void))find(plugin, "plugin_address_of_malloc");
    CHECK((address_of_malloc() == (void *)malloc) == is_same);
    if (how[0] == 'a')
        return failed_checks != 0;
    void *(*plugin_malloc)(size_t) = (void *(*)(size_t))find(plugin, "plugin_malloc");
    void (*plugin_free)(void *) = (void (*)(void *))find(plugin, "plugin_free");
    if (getenv("MIXED"))
        for (size_t size = 1; size < 300000; size = size * 3 + 1) {
            plugin_free(malloc(size));
            free(plugin_malloc(size));
        }
    return failed_checks != 0;
}
