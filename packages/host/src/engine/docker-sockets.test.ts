import { expect, test } from "vitest";
import { findDockerSocket } from "./docker-sockets.ts";

test("docker listens where DOCKER_HOST says, else on its usual socket", () => {
  expect(findDockerSocket("docker", { DOCKER_HOST: "unix:///srv/d.sock" })).toMatchObject({
    path: "/srv/d.sock",
    from: "from DOCKER_HOST",
  });
  for (const environment of [{}, { DOCKER_HOST: "" }, { XDG_RUNTIME_DIR: "/run/user/7" }]) {
    expect(findDockerSocket("docker", environment)).toMatchObject({ path: "/var/run/docker.sock", start: "sudo systemctl start docker" });
  }
});

test("a rootless docker listens in the user's runtime folder, whatever DOCKER_HOST says", () => {
  const environment = { XDG_RUNTIME_DIR: "/run/user/7", DOCKER_HOST: "unix:///srv/d.sock" };
  expect(findDockerSocket("docker-rootless", environment)).toMatchObject({
    path: "/run/user/7/docker.sock",
    start: "systemctl --user start docker",
  });
  expect(() => findDockerSocket("docker-rootless", {})).toThrow(/XDG_RUNTIME_DIR is not set: set it to the folder of the user/);
});

test.each(["tcp://10.0.0.7:2375", "ssh://root@other", "unix://relative.sock", "/var/run/docker.sock"])(
  "DOCKER_HOST=%s is refused, with what is expected",
  (address) => {
    expect(() => findDockerSocket("docker", { DOCKER_HOST: address })).toThrow(
      `DOCKER_HOST is "${address}": expected a socket of this computer, such as unix:///var/run/docker.sock`,
    );
  },
);
