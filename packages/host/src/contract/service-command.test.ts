import { Contract, SerialFilterRules } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { serviceOfCommand } from "./service-command.ts";
import { programOfCommand } from "./shell-command.ts";

const commanded = (command: string) => serviceOfCommand("ROBOT", command, { contractName: "arm.yaml", field: "--add-service" });
const of = (command: string) => commanded(command).service;

test.each([
  ["rrhttp 10.0.0.2:80", { filter: "rrhttp", target: "10.0.0.2:80" }],
  ["/usr/local/bin/rrhttp --config /etc/misty.yaml [::1]:80", { filter: "rrhttp", target: "[::1]:80", rules: "/etc/misty.yaml" }],
  ["rrpc --config /etc/rpc.yaml", { filter: "rrpc", rules: "/etc/rpc.yaml" }],
  ["rrhttp 10.0.0.2:80 --config=misty.yaml", { filter: "rrhttp", target: "10.0.0.2:80", rules: "misty.yaml" }],
  ["./my-filter  --port 0", { command: "./my-filter --port 0" }],
])("`%s` becomes the service that does the same", (command, service) => {
  expect(of(command)).toEqual({ name: "ROBOT", ...service });
  expect(Contract.safeParse({ services: [of(command)] }).success).toBe(true);
});

test("`rrserial` becomes a serial filter that lets every byte pass", () => {
  const { service, file } = commanded("rrserial -a 127.0.0.1:5000 /dev/ttyUSB0");
  expect(service).toEqual({ name: "ROBOT", filter: "serial", target: "/dev/ttyUSB0", rules: "arm.ROBOT.rules.yaml" });
  expect(file?.name).toBe("arm.ROBOT.rules.yaml");
  expect(parseYamlWith(SerialFilterRules, file?.text ?? "", "rules")).toMatchObject({ default: "allow", messages: { length: 1 } });
  expect(Contract.safeParse({ services: [service] }).success).toBe(true);
});

test.each([
  ["rrhttp", /expected rrhttp/],
  ["rrhttp a b", /found a b/],
  ["rrhttp --config", /a value after --config/],
  ["rrhttp --verbose a:1", /no option --verbose/],
  ["rrhttp 10.0.0.2", /HOST:PORT/],
  ["rrpc", /expected rrpc --config FILE/],
  ["rrserial", /expected rrserial DEVICE/],
])("`%s` is refused with what is expected", (command, says) => {
  expect(() => of(command)).toThrow(says);
});

test.each([
  ["/usr/bin/stop --now", undefined],
  ["stop.py", undefined],
  ["echo a && echo b", "#!/bin/sh\necho a && echo b\n"],
  ["echo 'a b'", "#!/bin/sh\necho 'a b'\n"],
  ["rm -f /tmp/*.log", "#!/bin/sh\nrm -f /tmp/*.log\n"],
  ["MODE=off ./arm", "#!/bin/sh\nMODE=off ./arm\n"],
  ["cd /opt/arm", "#!/bin/sh\ncd /opt/arm\n"],
  ["~/stop.sh", "#!/bin/sh\n~/stop.sh\n"],
])("the command `%s` gets a script where only a shell understands it", (command, text) => {
  const program = programOfCommand(command, { list: "terminate", contractName: "arm.yaml" });
  expect(program.script?.text).toBe(text);
  expect(program.run).toMatch(text === undefined ? command : /^\.\/arm\.terminate-[0-9a-f]{8}\.sh$/);
  expect(programOfCommand(command, { list: "terminate", contractName: "arm.yaml" })).toEqual(program);
});
