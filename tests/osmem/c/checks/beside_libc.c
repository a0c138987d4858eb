/* Our heap grows in one thread while libc's own malloc moves the break in another: no byte is lost on either side. */
#include "block.h"
#include <pthread.h>
#include <stdlib.h>

#define BLOCKS 1500
#define SIZE 20000 /* below the size from which either of the two maps */

static unsigned char *ours[BLOCKS], *theirs[BLOCKS];

static void *grow_ours(void *unused) {
    (void)unused;
    for (int i = 0; i < BLOCKS; i++) {
        ours[i] = os_malloc(SIZE);
        assert(ours[i]);
        memset(ours[i], 1 + i % 255, SIZE);
    }
    return NULL;
}

int main(void) {
    /* Both meet on the break while there is one thread. */
    void *first = os_malloc(100), *foreign = malloc(100000);
    assert(first && foreign && os_malloc(131000));

    pthread_t thread;
    assert(pthread_create(&thread, NULL, grow_ours, NULL) == 0);
    for (int i = 0; i < BLOCKS; i++) { /* the first thread's malloc is the one that uses the break */
        theirs[i] = malloc(SIZE);
        assert(theirs[i]);
        memset(theirs[i], 255 - i % 255, SIZE);
    }
    assert(pthread_join(thread, NULL) == 0);

    for (int i = 0; i < BLOCKS; i++) {
        assert(all_are(ours[i], SIZE, 1 + i % 255) && all_are(theirs[i], SIZE, 255 - i % 255));
        os_free(ours[i]);
        free(theirs[i]);
    }
    free(foreign);
    assert(os_check() == OS_CHECK_OK);
    return 0;
}
