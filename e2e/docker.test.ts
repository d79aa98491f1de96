import { borrowDocker } from "@hardshare/testkit/lending";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { expectSuccess } from "./harness/commands.ts";
import { containersWith, processesLeft, processesWith } from "./harness/leftovers.ts";
import { expectAnswer, Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  status: string;
  ssh_config: string;
}

const docker = await borrowDocker(inject("lender"));
const isLeftOut = docker.problem !== undefined && process.env["CI"] === undefined;

describe.skipIf(isLeftOut)(
  isLeftOut ? `a computer with Docker (left out: ${docker.problem})` : "a computer with Docker and no podman",
  () => {
    let world: World;
    let admin: Person;
    let host: string;

    beforeAll(async () => {
      const answer = await borrowDocker(inject("lender"), "image");
      if (answer.host === undefined) throw new Error(answer.problem);
      host = answer.host;
      world = await World.createWithDocker(host);
      admin = await world.admin();
    });
    afterAll(() => world?.[Symbol.asyncDispose]());

    test("an instance runs in it, is reached by ssh, reaches the robot, outlives its host daemon, and leaves nothing", async () => {
      const deployment = world.deployment("docker");
      const launched = await admin.json<Launched>("launch", deployment, "--wait");
      const label = `io.hardshare.instance=${launched.id}`;
      const ssh = (command: string) => expectSuccess("ssh", ["-F", launched.ssh_config, deployment, command], { env: admin.env });
      const reachRobot = "curl -s -o /dev/null -w '%{http_code}' http://$ROBOT/api/battery";
      expect(launched.status).toBe("READY");
      const before = await containersWith(label, host);
      expect(before).toHaveLength(1);
      expect(await ssh("hostname")).toBe(`hs-${launched.id.slice(0, 8)}\n`);
      expect(await ssh(reachRobot)).toBe("200");
      expect((await ssh("ls /sys/class/net")).trim()).toBe("lo");

      const adopted = world.up.untilLog(new RegExp(`${launched.id}.*"status":"probed"`));
      const daemons = (await processesWith(world.dataFolder)).filter((line) => line.includes(" --format json ad "));
      expect(daemons).toHaveLength(1);
      process.kill(Number(daemons[0]?.split(" ")[0]), "SIGKILL");
      await adopted;
      expect(await ssh(`hostname; ${reachRobot}`)).toBe(`hs-${launched.id.slice(0, 8)}\n200`);
      expect(await containersWith(label, host)).toEqual(before);

      await expectAnswer(admin.run(["terminate", launched.id]));
      expect(await containersWith(label, host)).toEqual([]);
      expect(await processesLeft(launched.id)).toEqual([]);
    });

    test("`doctor` says which Docker answers", async () => {
      const doctor = new Person(world.folder, "dora");
      const { stdout } = await doctor.run(["doctor", "--format", "json"], { env: { DOCKER_HOST: host } });
      const findings = JSON.parse(stdout) as { name: string; isFine: boolean; found: string }[];
      expect(findings.find(({ name }) => name === "docker")).toMatchObject({ isFine: true, found: expect.stringMatching(/^\d/) as string });
    });
  },
);
