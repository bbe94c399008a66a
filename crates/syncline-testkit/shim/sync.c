/* Stands before the C library's fsync and fdatasync, to make them fail or wait.
 *
 * SYNCLINE_TEST_SHIM names a folder. `control` there says what to do, and is read at each call:
 *   pass          let it through
 *   fail N        the Nth call since the process began answers EIO
 *   fail-from N   so does each one after it
 *   delay MS      each call waits first
 * Each call appends one byte to `count` there, before it is done.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;

static int open_in_folder(const char *name, int flags) {
    const char *folder = getenv("SYNCLINE_TEST_SHIM");
    char path[4096];
    if (!folder || snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return -1;
    return open(path, flags | O_CLOEXEC, 0600);
}

/* Returns whether the call is to fail. */
static int meddle(void) {
    long call = atomic_fetch_add(&calls, 1) + 1;
    int count = open_in_folder("count", O_WRONLY | O_APPEND | O_CREAT);
    if (count >= 0) {
        ssize_t written = write(count, ".", 1);
        (void)written;
        close(count);
    }
    char text[64] = {0};
    int control = open_in_folder("control", O_RDONLY);
    if (control < 0)
        return 0;
    ssize_t length = read(control, text, sizeof text - 1);
    close(control);
    if (length <= 0)
        return 0;
    long number = 0;
    if (sscanf(text, "delay %ld", &number) == 1) {
        struct timespec wait = {number / 1000, (number % 1000) * 1000000};
        nanosleep(&wait, NULL);
        return 0;
    }
    if (sscanf(text, "fail-from %ld", &number) == 1)
        return call >= number;
    if (sscanf(text, "fail %ld", &number) == 1)
        return call == number;
    return 0;
}

static int pass_on(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd) {
    if (meddle()) {
        errno = EIO;
        return -1;
    }
    return pass_on("fsync", fd);
}

int fdatasync(int fd) {
    if (meddle()) {
        errno = EIO;
        return -1;
    }
    return pass_on("fdatasync", fd);
}
