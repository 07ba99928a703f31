/* Which code is the kernel's: every file that is compiled with this header in front of it.
 *
 * A stack overflow in a task's own code may end it where it stands; in the kernel's code a list may
 * be half linked. So the two are told apart, at no cost where nothing overflows: the addresses of
 * each file's code stand in a section that the fault handler reads (overflow.c). Cold code, which
 * the compiler sets aside, is a second range. There is no code behind subsection 8191, so a label
 * in it is the end. */
#define ASXI_TEXT_RANGE_(section, flags, end)     \
    .pushsection section, 8191, flags, @progbits; \
    end:                                          \
    .popsection;                                  \
    .pushsection asx_kernel_text, "a", @progbits; \
    .balign 4;                                    \
    .long section -.;                             \
    .long end -.;                                 \
    .popsection
#ifdef __ASSEMBLER__
ASXI_TEXT_RANGE_(.text, "ax", .Lasx_text_end)
#elif !defined(ASX_SHARD_KERNEL_TEXT_INTERNAL_H)
#define ASX_SHARD_KERNEL_TEXT_INTERNAL_H
#define ASXI_TEXT_(...) #__VA_ARGS__
#define ASXI_TEXT_STRING_(...) ASXI_TEXT_(__VA_ARGS__)
__asm__(ASXI_TEXT_STRING_(ASXI_TEXT_RANGE_(.text, "ax", .Lasx_text_end)));
#ifdef __clang__
__asm__(ASXI_TEXT_STRING_(ASXI_TEXT_RANGE_(.text.unlikely., "ax", .Lasx_text_unlikely_end)));
#else
__asm__(ASXI_TEXT_STRING_(ASXI_TEXT_RANGE_(.text.unlikely, "ax", .Lasx_text_unlikely_end)));
#endif
#endif
