/* The causal story of a task, for people: who made it, who woke it, what it waited for, who
 * cancelled it and why, and how it ended. */
#ifndef ASX_LAB_SHOW_H
#define ASX_LAB_SHOW_H

#include <asx/lab/report.h>

#include <stdio.h>

ASX_BEGIN_DECLS

/* One line for each task of the run, in the order of spawning. */
void asx_lab_show_tasks(const asx_lab_report *report, FILE *out);

/* False: the run had no such task. */
bool asx_lab_show_task(const asx_lab_report *report, uint64_t task, FILE *out);

/* "0.3.1", with or without a T, as everything prints it. 0: it is none. */
uint64_t asx_lab_task_parse(const char *text);

ASX_END_DECLS

#endif
