/* The switch for aarch64, AAPCS64: x19-x30 and d8-d15 on the old stack, the stack pointer in the
 * fiber's first word. fpcr stays as it is (see fiber.h). */
#if defined(__aarch64__)

        .text

/* void asxi_fiber_swap(asx_fiber *from, asx_fiber *to)
 *
 * The plain asx_fiber_switch is this code itself, and the plain asx_fiber_switch_final its second
 * half; in a sanitizer build fiber.c defines stronger ones that announce the switch and then come
 * here. */
        .globl  asxi_fiber_swap
        .hidden asxi_fiber_swap
        .weak   asx_fiber_switch
        .weak   asx_fiber_switch_final
        .type   asxi_fiber_swap, %function
        .type   asx_fiber_switch, %function
        .type   asx_fiber_switch_final, %function
        .p2align 5
asxi_fiber_swap:
asx_fiber_switch:
        .cfi_startproc
        hint    #34             /* bti c: the weak names may be called through a pointer */
        sub     sp, sp, #160
        .cfi_adjust_cfa_offset 160
        stp     x19, x20, [sp, #0]
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x20, 8
        stp     x21, x22, [sp, #16]
        .cfi_rel_offset x21, 16
        .cfi_rel_offset x22, 24
        stp     x23, x24, [sp, #32]
        .cfi_rel_offset x23, 32
        .cfi_rel_offset x24, 40
        stp     x25, x26, [sp, #48]
        .cfi_rel_offset x25, 48
        .cfi_rel_offset x26, 56
        stp     x27, x28, [sp, #64]
        .cfi_rel_offset x27, 64
        .cfi_rel_offset x28, 72
        stp     x29, x30, [sp, #80]
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mov     x9, sp
        str     x9, [x0]
        ldr     x9, [x1]
.Lresume:
        mov     sp, x9
        ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #160
        .cfi_adjust_cfa_offset -160
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        /* A ret here would miss the return predictor: the call came from another stack. x16 is the
         * register through which a jump may land on a `bti c`. */
        mov     x16, x30
        br      x16
        .cfi_endproc
        .size   asxi_fiber_swap, .-asxi_fiber_swap
        .size   asx_fiber_switch, .-asx_fiber_switch

/* Nothing is kept of what never runs again. */
        .p2align 4
asx_fiber_switch_final:
        .cfi_startproc
        .cfi_undefined x30
        hint    #34
        ldr     x9, [x1]
        b       .Lresume
        .cfi_endproc
        .size   asx_fiber_switch_final, .-asx_fiber_switch_final

/* The outermost frame of a fiber: x19 holds the function, x20 its argument, x29 is zero. Unwinding
 * ends here. */
        .globl  asxi_fiber_boot
        .hidden asxi_fiber_boot
        .type   asxi_fiber_boot, %function
        .p2align 4
asxi_fiber_boot:
        .cfi_startproc
        .cfi_undefined x30
        hint    #34
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   asxi_fiber_boot, .-asxi_fiber_boot

#endif
        .section .note.GNU-stack, "", %progbits
