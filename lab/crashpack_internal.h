/* The numbers of a configuration, by name: what a crashpack keeps of it. */
#ifndef ASX_LAB_CRASHPACK_INTERNAL_H
#define ASX_LAB_CRASHPACK_INTERNAL_H

#include <asx/lab/crashpack.h>

void asxi_knobs_print(const asx_lab_config *config, FILE *out);
/* False: there is no such knob. */
bool asxi_knob_set(asx_lab_config *config, const char *name, uint64_t value);
/* Copies every number of `from`. */
void asxi_knobs_copy(asx_lab_config *config, const asx_lab_config *from);

void asxi_crashpack_digest(const char *bytes, size_t len, char text[65]);

#endif
