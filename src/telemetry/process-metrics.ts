// What is running, whether it is about to stop, and how the process itself fares: the event loop, memory and
// garbage collection. The last comes from prom-client by itself, and is written down here for the documentation.
// Ignorant of sessions.

import type { Definitions } from './definition.ts'

export const buildMetrics = {
  info: {
    type: 'gauge',
    name: 'pgwarden_build_info',
    help: 'Always 1; the labels tell what is running.',
    labels: [
      { name: 'version', values: "pgwarden's" },
      { name: 'node', values: "Node.js'" },
    ],
    across: 'max',
  },
  draining: {
    type: 'gauge',
    name: 'pgwarden_draining',
    help: 'Whether the process was told to stop and waits for its sessions: 1 or 0.',
  },
} as const satisfies Definitions

/** Gauges that prom-client calls `_total`, as only counters may be; those without it say the same by type. */
export const misnamed = [
  'nodejs_active_resources_total',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
]

/** As prom-client declares them; some of `process_` on Linux only. */
export const processMetrics = {
  processCpuUser: {
    type: 'counter',
    name: 'process_cpu_user_seconds_total',
    help: 'Total user CPU time spent in seconds.',
  },
  processCpuSystem: {
    type: 'counter',
    name: 'process_cpu_system_seconds_total',
    help: 'Total system CPU time spent in seconds.',
  },
  processCpu: {
    type: 'counter',
    name: 'process_cpu_seconds_total',
    help: 'Total user and system CPU time spent in seconds.',
  },
  processStartTime: {
    type: 'gauge',
    name: 'process_start_time_seconds',
    help: 'Start time of the process since unix epoch in seconds.',
    across: 'max',
  },
  processResidentMemory: {
    type: 'gauge',
    name: 'process_resident_memory_bytes',
    help: 'Resident memory size in bytes.',
  },
  processVirtualMemory: {
    type: 'gauge',
    name: 'process_virtual_memory_bytes',
    help: 'Virtual memory size in bytes.',
  },
  processHeap: { type: 'gauge', name: 'process_heap_bytes', help: 'Process heap size in bytes.' },
  processOpenFds: {
    type: 'gauge',
    name: 'process_open_fds',
    help: 'Number of open file descriptors.',
  },
  processMaxFds: {
    type: 'gauge',
    name: 'process_max_fds',
    help: 'Maximum number of open file descriptors.',
  },
  eventloopLag: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_seconds',
    help: 'Lag of event loop in seconds.',
    across: 'max',
  },
  eventloopLagMin: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_min_seconds',
    help: 'The minimum recorded event loop delay.',
    across: 'max',
  },
  eventloopLagMax: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_max_seconds',
    help: 'The maximum recorded event loop delay.',
    across: 'max',
  },
  eventloopLagMean: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_mean_seconds',
    help: 'The mean of the recorded event loop delays.',
    across: 'max',
  },
  eventloopLagStddev: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_stddev_seconds',
    help: 'The standard deviation of the recorded event loop delays.',
    across: 'max',
  },
  eventloopLagP50: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_p50_seconds',
    help: 'The 50th percentile of the recorded event loop delays.',
    across: 'max',
  },
  eventloopLagP90: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_p90_seconds',
    help: 'The 90th percentile of the recorded event loop delays.',
    across: 'max',
  },
  eventloopLagP99: {
    type: 'gauge',
    name: 'nodejs_eventloop_lag_p99_seconds',
    help: 'The 99th percentile of the recorded event loop delays.',
    across: 'max',
    note: 'The one to watch: all sessions of a process share one event loop.',
  },
  activeResources: {
    type: 'gauge',
    name: 'nodejs_active_resources',
    help: 'Number of active resources that are currently keeping the event loop alive, grouped by async resource type.',
    labels: [{ name: 'type', values: 'the kinds that Node.js has' }],
  },
  activeHandles: {
    type: 'gauge',
    name: 'nodejs_active_handles',
    help: 'Number of active libuv handles grouped by handle type. Every handle type is C++ class name.',
    labels: [{ name: 'type', values: 'the kinds that Node.js has' }],
  },
  activeRequests: {
    type: 'gauge',
    name: 'nodejs_active_requests',
    help: 'Number of active libuv requests grouped by request type. Every request type is C++ class name.',
    labels: [{ name: 'type', values: 'the kinds that Node.js has' }],
  },
  heapSizeTotal: {
    type: 'gauge',
    name: 'nodejs_heap_size_total_bytes',
    help: 'Process heap size from Node.js in bytes.',
  },
  heapSizeUsed: {
    type: 'gauge',
    name: 'nodejs_heap_size_used_bytes',
    help: 'Process heap size used from Node.js in bytes.',
  },
  externalMemory: {
    type: 'gauge',
    name: 'nodejs_external_memory_bytes',
    help: 'Node.js external memory size in bytes.',
  },
  heapSpaceSizeTotal: {
    type: 'gauge',
    name: 'nodejs_heap_space_size_total_bytes',
    help: 'Process heap space size total from Node.js in bytes.',
    labels: [{ name: 'space', values: 'the spaces of V8' }],
  },
  heapSpaceSizeUsed: {
    type: 'gauge',
    name: 'nodejs_heap_space_size_used_bytes',
    help: 'Process heap space size used from Node.js in bytes.',
    labels: [{ name: 'space', values: 'the spaces of V8' }],
  },
  heapSpaceSizeAvailable: {
    type: 'gauge',
    name: 'nodejs_heap_space_size_available_bytes',
    help: 'Process heap space size available from Node.js in bytes.',
    labels: [{ name: 'space', values: 'the spaces of V8' }],
  },
  versionInfo: {
    type: 'gauge',
    name: 'nodejs_version_info',
    help: 'Node.js version info.',
    labels: [
      { name: 'version', values: "Node.js'" },
      { name: 'major', values: "Node.js'" },
      { name: 'minor', values: "Node.js'" },
      { name: 'patch', values: "Node.js'" },
    ],
    across: 'max',
  },
  gcDuration: {
    type: 'histogram',
    name: 'nodejs_gc_duration_seconds',
    help: 'Garbage collection duration by kind, one of major, minor, incremental or weakcb.',
    labels: [{ name: 'kind', values: ['major', 'minor', 'incremental', 'weakcb'] }],
    buckets: [0.001, 0.01, 0.1, 1, 2, 5],
  },
} as const satisfies Definitions
