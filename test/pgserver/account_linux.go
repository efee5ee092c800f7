package pgserver

import "syscall"

// dieWithParent asks for an immediate shutdown of the server when we are gone.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
