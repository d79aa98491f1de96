import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Ran, runHere } from "../testing.ts";

const ID = "00000000-0000-4000-8000-000000000001";
let folder: string;
let contract: string;
beforeAll(async () => void (await import("@hardshare/host")), 120_000); // on a busy machine reading it takes long
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-config-"));
  await mkdir(join(folder, "home", "deployments"), { recursive: true });
  await writeFile(join(folder, "home", "config.yaml"), `deployments: [{ id: ${ID}, owner: ada }]\n`);
  contract = join(folder, "home", "deployments", `${ID}.yaml`);
  await writeFile(contract, "# my robot\nprovider: podman   # here\n");
  for (const name of ["stop.sh", "look.sh", "setup.sh"]) {
    await writeFile(join(folder, name), "#!/bin/sh\n");
    await chmod(join(folder, name), 0o755);
  }
  await writeFile(join(folder, "misty.yaml"), "default: block\nrules: []\n");
});
afterEach(() => rm(folder, { recursive: true }));

async function hardshare(...args: string[]): Promise<Ran> {
  const variables = { PATH: process.env["PATH"], HARDSHARE_HOME: join(folder, "home"), HARDSHARE_STATE: join(folder, "state") };
  return runHere(args, variables, { uid: process.getuid?.() ?? -1, home: folder });
}
const text = () => readFile(contract, "utf8");

/** Flags, one after the other, and what the contract has then. `F` is the folder of the test. */
test.each<[flags: string[][], says: RegExp]>([
  [[["--cprovider", "docker"]], /^provider: docker {3}# here$/m],
  [
    [["--cprovider", "proxy", "--assign-proxy-command", "rrhttp 10.0.0.2:80"]],
    /^provider: proxy {3}# here[^]*filter: rrhttp\n +target: 10\.0\.0\.2:80/m,
  ],
  [[["--add-raw-device", "/dev/null"]], /devices:\n {2}- \/dev\/null\n$/],
  [
    [
      ["--add-raw-device", "/dev/null"],
      ["--rm-raw-device", "/dev/null"],
    ],
    /devices: \[\]\n$/,
  ],
  [[["--add-terminate-prog", "F/stop.sh --now"]], /terminate:\n {2}- F\/stop\.sh --now\n$/],
  [
    [
      ["--add-terminate-prog", "F/stop.sh"],
      ["--rm-terminate-prog", "F/stop.sh"],
    ],
    /terminate: \[\]\n$/,
  ],
  [[["--add-terminate-prog", "echo a; echo b"]], new RegExp(`terminate:\\n {2}- \\./${ID}\\.terminate-[0-9a-f]{8}\\.sh\\n$`)],
  [
    [
      ["--add-terminate-prog", "echo a; echo b"],
      ["--rm-terminate-prog", "echo a; echo b"],
    ],
    /terminate: \[\]\n$/,
  ],
  [
    [
      ["--monitor-prog", "F/look.sh"],
      ["--monitor-prog", "F/stop.sh"],
    ],
    /monitors:(?: \[\])?\n {2}- F\/stop\.sh\n$|monitors: \[F\/stop\.sh\]\n$/,
  ],
  [
    [
      ["--monitor-prog", "F/look.sh"],
      ["--monitor-prog", "-"],
    ],
    /monitors: \[\]\n$/,
  ],
  [[["--add-init-inside", "/usr/bin/true"]], /init_inside:\n {2}- \/usr\/bin\/true\n$/],
  [
    [
      ["--add-init-inside", "true"],
      ["--rm-init-inside", "true"],
    ],
    /init_inside: \[\]\n$/,
  ],
  [[["--add-env", "A=b=c", "--add-env", "D="]], /env:\n {2}A: b=c\n {2}D: ""\n$/],
  [
    [
      ["--add-env", "A=b"],
      ["--rm-env", "A"],
    ],
    /env: \{\}\n$/,
  ],
  [[["--add-service", "ARM=/opt/serve  --port 0"]], /services:\n {2}- name: ARM\n {4}command: \/opt\/serve --port 0\n$|cannot/],
  [
    [["--add-service", "ROBOT=rrhttp --config F/misty.yaml 10.0.0.2:80"]],
    /filter: rrhttp\n {4}target: 10\.0\.0\.2:80\n {4}rules: F\/misty\.yaml\n$/,
  ],
  [
    [
      ["--add-service", "ROBOT=rrhttp 10.0.0.2:80"],
      ["--rm-service", "ROBOT"],
    ],
    /services: \[\]\n$/,
  ],
])("%j changes the contract, and keeps its comments", async (flags, says) => {
  for (const call of flags) {
    const { exitCode, stderr } = await hardshare("config", ...call.map((it) => it.replaceAll("F/", `${folder}/`)));
    if (/\/opt\/serve/.test(call.join(" "))) {
      expect(stderr).toContain("--add-service: ");
      return;
    }
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  }
  expect((await text()).replaceAll(`${folder}/`, "F/")).toMatch(says);
  expect(await text()).toMatch(/^# my robot\nprovider: \w+ {3}# here\n/);
});

test.each<[flags: string[], says: RegExp]>([
  [[], /config needs something to change/],
  [["--cprovider", "lxd"], /--cprovider: expected podman, docker, docker-rootless or proxy; lxd is not supported/],
  [["--cprovider", "proxy"], /was left as it is.*services: expected exactly one service/],
  [["--assign-proxy-command", "rrhttp a:1"], /--assign-proxy-command: only deployments with `provider: proxy`/],
  [["--add-raw-device", "/dev/none"], /--add-raw-device: there is no \/dev\/none/],
  [["--add-raw-device", "/etc/hostname"], /--add-raw-device: \/etc\/hostname is no device file/],
  [["--rm-raw-device", "/dev/none"], /--rm-raw-device: there is no \/dev\/none in `devices`/],
  [["--add-terminate-prog", "./none.sh"], /--add-terminate-prog: .*none\.sh/],
  [["--add-terminate-prog", " "], /--add-terminate-prog: expected a command in one line/],
  [["--add-terminate-prog", "true\nfalse"], /--add-terminate-prog: expected a command in one line/],
  [["--add-init-inside", "./none.sh"], /--add-init-inside: there is no file .*none\.sh/],
  [["--rm-terminate-prog", "x"], /--rm-terminate-prog: there is no x/],
  [["--add-env", "A"], /--add-env: expected NAME=VALUE, found A/],
  [["--add-env", "PATH=/x"], /env\.PATH: expected another name/],
  [["--rm-env", "A"], /--rm-env: there is no variable A/],
  [["--add-service", "arm=true"], /services\.0\.name: expected capital letters/],
  [["--add-service", "ARM=rrhttp"], /--add-service: expected rrhttp \[--config FILE\] HOST:PORT/],
  [["--rm-service", "ARM"], /--rm-service: there is no ARM/],
  [["--add-ssh-path", "/x"], /--add-ssh-path: this host's tunnels use its identity key/],
  [["9", "--add-env", "A=b"], /no deployment has an id that begins with "9"/],
])("%j is refused with the name of the flag or field, and nothing is changed", async (flags, says) => {
  const before = await text();
  const { exitCode, stdout, stderr } = await hardshare("config", ...flags);
  expect(exitCode).not.toBe(0);
  expect({ stdout, stderr }).toEqual({ stdout: "", stderr: expect.stringMatching(says) });
  expect(await text()).toBe(before);
});

test("an edit says where, whether anything changed, and when it holds, for people and for programs", async () => {
  const first = await hardshare("config", "0000", "--add-env", "A=b");
  expect(first.stdout).toBe(`${contract} was changed: it holds when \`hardshare ad\` offers the deployment\n`);
  expect((await hardshare("config", "--add-env", "A=b")).stdout).toBe(`${contract} says that already: nothing was changed\n`);
  const script = await hardshare("config", "--add-terminate-prog", "echo a; echo b", "--format", "json");
  const { files } = JSON.parse(script.stdout) as { files: string[] };
  expect(await readFile(join(folder, "home", "deployments", files[0] ?? ""), "utf8")).toBe("#!/bin/sh\necho a; echo b\n");
});

test("a contract that is invalid is told with line and column before anything is changed", async () => {
  await writeFile(contract, "provider: podman\nimage: [\n");
  expect((await hardshare("config", "--add-env", "A=b")).stderr).toMatch(new RegExp(`${ID}\\.yaml:\\d+:\\d+: `));
  await writeFile(contract, "provider: nothing\n");
  expect((await hardshare("config", "--add-env", "A=b")).stderr).toMatch(/\.yaml:1:11: provider: /);
});

test("the add-on mistyproxy is a service of the contract", async () => {
  expect((await hardshare("config-addon", "-a", "cam", "-l")).stderr).toMatch(/--addon: expected mistyproxy/);
  expect((await hardshare("config-addon", "-a", "mistyproxy")).stderr).toMatch(/expected one of --list, --ip ADDRESS and --rm/);
  expect((await hardshare("config-addon", "-a", "mistyproxy", "-l")).stdout).toBe("mistyproxy is not configured\n");
  expect((await hardshare("config-addon", "-a", "mistyproxy", "--ip", "192.168.1.134")).exitCode).toBe(0);
  expect(await text()).toMatch(/name: MISTYPROXY\n {4}filter: rrhttp\n {4}target: 192\.168\.1\.134:80/);
  const listed = await hardshare("config-addon", "-a", "mistyproxy", "-l", "--format", "JSON");
  expect(JSON.parse(listed.stdout)).toEqual({ deployment: ID, mistyproxy: { ip: "192.168.1.134" } });
  expect((await hardshare("config-addon", "-a", "mistyproxy", "--rm")).exitCode).toBe(0);
  expect(await text()).toContain("services: []");
});
