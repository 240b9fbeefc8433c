// Preloaded into a process that is to meet a defect: SIGUSR2 is one.

process.on('SIGUSR2', () => {
  throw new Error('a planted defect')
})
