/* cpus.h - how many threads of this process may run at once. Any thread. */
#ifndef TKV_BASE_CPUS_H
#define TKV_BASE_CPUS_H

/* CPUs that the calling thread may run on, by its affinity; at least 1. */
unsigned tkv_cpus(void);

#endif
