package admin

import "syscall"

// errRefused is what connecting to a socket gives whose daemon is gone.
const errRefused = syscall.ECONNREFUSED
