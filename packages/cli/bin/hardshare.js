#!/usr/bin/env node
import { access } from "node:fs";

// The C library before glibc 2.41 (Debian 12 has 2.36) now and then loses the wake-up of a thread that has work to do for
// Node (sourceware.org, bug 25847): a file is not read until other work comes, which may be never. So some comes each second.
setInterval(() => access("/", () => {}), 1000).unref();
await import("../program/hardshare.js");
