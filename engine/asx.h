/* The umbrella: everything a program on the engine includes, and no declaration of its own. */
#ifndef ASX_ASX_H
#define ASX_ASX_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/err.h>
#include <asx/shard/base/time.h>
#include <asx/shard/base/view.h>

#endif
