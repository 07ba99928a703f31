/* The switch for x86-64, System V: six callee-saved registers on the old stack, the stack pointer
 * in the fiber's first word. mxcsr and the x87 control word stay as they are (see fiber.h). */
#if defined(__x86_64__)

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
        .type   asxi_fiber_swap, @function
        .type   asx_fiber_switch, @function
        .type   asx_fiber_switch_final, @function
        .p2align 5
asxi_fiber_swap:
asx_fiber_switch:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        movq    %rsp, (%rdi)
        movq    (%rsi), %rsp
.Lresume:
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        /* A ret here would miss the return predictor: the call was made on another stack. */
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        jmpq    *%rcx
        .cfi_endproc
        .size   asxi_fiber_swap, .-asxi_fiber_swap
        .size   asx_fiber_switch, .-asx_fiber_switch

/* Nothing is kept of what never runs again. */
        .p2align 4
asx_fiber_switch_final:
        .cfi_startproc
        .cfi_undefined %rip
        movq    (%rsi), %rsp
        jmp     .Lresume
        .cfi_endproc
        .size   asx_fiber_switch_final, .-asx_fiber_switch_final

/* The outermost frame of a fiber: r12 holds the function, r13 its argument, rbp is zero. Unwinding
 * ends here. */
        .globl  asxi_fiber_boot
        .hidden asxi_fiber_boot
        .type   asxi_fiber_boot, @function
        .p2align 4
asxi_fiber_boot:
        .cfi_startproc
        .cfi_undefined %rip
        .cfi_undefined %rbp
        movq    %r13, %rdi
        callq   *%r12
        ud2
        .cfi_endproc
        .size   asxi_fiber_boot, .-asxi_fiber_boot

#endif
        .section .note.GNU-stack, "", @progbits
