/* The test kit in Catch2: requires that no run of a test fails, and shows what the lab says about
 * one that does. */
#ifndef ASX_LAB_KIT_CATCH_H
#define ASX_LAB_KIT_CATCH_H

#include <asx/lab/kit.h>

#ifdef __cplusplus

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

static inline std::string asx_lab_explored_text(asx_lab_test test, bool *passed)
{
    std::string copy;
    test.out = tmpfile();
    REQUIRE(test.out != nullptr);
    *passed = asx_lab_explore(&test);
    rewind(test.out);
    for (int byte; (byte = fgetc(test.out)) != EOF;) {
        copy += static_cast<char>(byte);
    }
    fclose(test.out);
    return copy;
}

#define ASX_LAB_REQUIRE(test)                                                    \
    do {                                                                         \
        bool asx_passed_ = false;                                                \
        const std::string asx_text_ = asx_lab_explored_text(test, &asx_passed_); \
        INFO(asx_text_);                                                         \
        REQUIRE(asx_passed_);                                                    \
    } while (0)

#endif /* C++ */

#endif
