/* The two reports of raptorq_bench that Google Benchmark has no form for. */
#ifndef ASX_BENCH_RAPTORQ_TABLE_H
#define ASX_BENCH_RAPTORQ_TABLE_H

/* --table [--rounds N] [--k K,K,...]   every figure of the codec at each K, in interleaved rounds
 * --cores [--rounds N] [--k K,K,...]   two threads over one, by stripes and by blocks
 * --best in either                     the best round in place of the median
 *
 * Returns the exit status, or -1 when the arguments ask for neither. */
int raptorq_report(int argc, char **argv);

#endif
