/* How far two names are apart: for telling somebody who mistyped one which he may have meant. */
#ifndef ASX_LAB_NEAR_INTERNAL_H
#define ASX_LAB_NEAR_INTERNAL_H

/* Edit distance; names are short. */
unsigned asxi_name_distance(const char *a, const char *b);

#endif
