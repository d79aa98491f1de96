/** The Docker that the files of a test run share. Used by tests; `docker-door.ts` lends it. */
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";

/** What is asked for: that it runs, or that it has the image of instances as well. */
export type DockerRequest = "docker" | "image";
/** Its address as DOCKER_HOST says it, or why there is none. */
export interface DockerAnswer {
  host?: string | undefined;
  problem?: string | undefined;
}

/** Starts the shared Docker if it does not run yet. @param door `inject("dockerDoor")` */
export async function borrowDocker(door: string, request: DockerRequest = "docker"): Promise<DockerAnswer> {
  const socket = connect({ path: door, allowHalfOpen: true });
  await once(socket, "connect");
  socket.write(request);
  const answer = await text(socket);
  socket.end();
  return JSON.parse(answer) as DockerAnswer;
}
