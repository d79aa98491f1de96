import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { formatUnit, type ServiceName, unitFileName } from "./unit.ts";

const options = {
  command: [process.execPath, "/opt/my robots/hardshare.js"],
  args: ["--data-dir", '/srv/100% "x" $HOME'],
  environment: { HARDSHARE_HOME: "/root/.config/hardshare" },
};

test("a host's unit lets containers outlive a daemon that was killed, and gives it time to end them at a stop", () => {
  expect(formatUnit({ ...options, command: ["/usr/bin/node", "/opt/hardshare.js"], args: [], name: "host", isSystem: true }))
    .toMatchInlineSnapshot(`
    "# Written by \`hardshare service install host\`; that command writes it anew.
    [Unit]
    Description=hardshare host daemon
    Documentation=man:systemd.service(5)
    After=network-online.target
    Wants=network-online.target
    # It is started again for as long as it takes.
    StartLimitIntervalSec=0

    [Service]
    Type=exec
    ExecStart=/usr/bin/node /opt/hardshare.js ad
    Environment=HARDSHARE_HOME=/root/.config/hardshare
    Restart=on-failure
    RestartSec=1
    KillMode=process
    TimeoutStopSec=180

    [Install]
    WantedBy=multi-user.target
    "
  `);
});

test("words with blanks, quotes, percent and dollar signs stay what they are", () => {
  const line = formatUnit({ ...options, name: "server", isSystem: false })
    .split("\n")
    .find((each) => each.startsWith("ExecStart="));
  expect(line).toBe(`ExecStart=${process.execPath} "/opt/my robots/hardshare.js" serve --data-dir "/srv/100%% \\"x\\" $$HOME"`);
});

test("a dollar sign in a folder of the environment stays one, because systemd expands nothing there", () => {
  const unit = formatUnit({ ...options, environment: { HARDSHARE_HOME: "/home/$ada/x" }, name: "host", isSystem: false });
  expect(unit).toContain('Environment="HARDSHARE_HOME=/home/$ada/x"\n');
});

test.each(["host", "hub", "server"] as const)("systemd accepts the unit of the %s", async (name: ServiceName) => {
  const folder = await mkdtemp(join(tmpdir(), "hardshare-unit-"));
  try {
    const file = join(folder, unitFileName(name));
    await writeFile(file, formatUnit({ ...options, name, isSystem: true }));
    const { exitCode, stdout, stderr } = await runProgram("systemd-analyze", ["verify", "--man=no", "--recursive-errors=no", file]);
    expect({ exitCode, said: stdout + stderr }).toEqual({ exitCode: 0, said: "" });
  } finally {
    await rm(folder, { recursive: true });
  }
});
