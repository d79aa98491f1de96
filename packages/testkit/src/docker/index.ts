/** Docker for tests: one that the files of a run share, and one of a test's own. Must not be loaded by what users run. */
export { borrowDocker, type DockerAnswer } from "./borrow-docker.ts";
export { TestDocker, whyNoDocker } from "./test-docker.ts";
