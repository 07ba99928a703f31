#include <asx/lab/ambient.h>

#include <string.h>

asx_lab_ambient *asx_lab_ambient_state(void)
{
    static __thread asx_lab_ambient state;
    return &state;
}

void asx_lab_ambient_called(const char *name)
{
    asx_lab_ambient *const self = asx_lab_ambient_state();
    if (!self->inside) {
        return;
    }
    uint32_t i = 0;
    while (i < self->count && strcmp(self->names[i], name) != 0) {
        i++;
    }
    if (i == ASX_LAB_AMBIENT_MAX) {
        return;
    }
    if (i == self->count) {
        self->names[self->count++] = name;
        self->calls[i] = 0;
    }
    self->calls[i]++;
}
