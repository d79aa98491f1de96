/**
 * `npm run dev`: the whole system in one process from the sources, with logs, until Ctrl-C. Prints what is needed to use it.
 */
import { bootWorld } from "./world.ts";

const world = await bootWorld({ isLogging: true, port: 8484 });
process.stdout.write(
  `server ${world.server.url}\nrobot  ${world.robot.url}\ndeployments ${world.deployments.join(" ")}\ntoken file ${world.server.adminTokenFile}\n`,
);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void world[Symbol.asyncDispose]().then(() => process.exit(0));
  });
}
