#include <asx/shard/base/assert.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static asx_assert_hook *hook;

void asx_assert_hook_set(asx_assert_hook *new_hook)
{
    hook = new_hook;
}

void asx_assert_fail(const char *file, int line, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (hook) {
        hook(file, line, text);
    }
    (void)fprintf(stderr, "asx: assertion failed at %s:%d: %s\n", file, line, text);
    abort();
}
