#define CATCH_CONFIG_MAIN
#define CATCH_CONFIG_NO_POSIX_SIGNALS /* the kernel has its own handler on an alternate stack */
#include <catch2/catch.hpp>
