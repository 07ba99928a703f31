/* A program of somebody else's: the umbrella header, the name of an error, and an instant. */
#include <asx/asx.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    char text[64];
    const char *name = asx_err_name(asx_err_errno(ECONNRESET), text, sizeof text);
    printf("%s after %llu ns\n", name, (unsigned long long)asx_ms(3));
    asx_view view = asx_view_str("asx");
    return strstr(name, "ECONNRESET") && asx_view_eq(view, asx_view_of("asx", 3)) ? 0 : 1;
}
