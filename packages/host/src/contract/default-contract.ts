import { CONTRACT_SCHEMA_HINT } from "./schema-files.ts";

/** The contract of a new deployment: a container with no access to any hardware, and what to write to give it some. */
export const DEFAULT_CONTRACT = `${CONTRACT_SCHEMA_HINT}# The contract of this deployment: all that is enforced around an instance.
# Nothing is uncommented: instances get an isolated container, and no hardware yet.
# Changes take effect for the next instance, filter rules with \`hardshare reload\`. Paths are relative to this file.

# provider: podman               # podman | docker | docker-rootless | proxy
# image: localhost/hardshare/generic
# env: { LANG: C.UTF-8 }
# limits: { memory: 1g, cpus: 2, pids: 512 }
# network: isolated              # isolated: only the services below can be reached | internet | open
# max_duration: 8h

# devices:                       # device files given as they are: unfiltered
#   - /dev/ttyACM0

# services:                      # programs on this computer that an instance may talk to
#   - name: ROBOT                # the instance finds host:port in $ROBOT
#     filter: http
#     target: 192.168.1.134:80
#     rules: robot.rules.yaml
#   - name: ARM
#     filter: serial
#     target: /dev/ttyUSB0
#     baud: 115200
#     rules: arm.rules.yaml
#     tap: true                  # both directions copied to the timeline and to a log on this computer
#   - name: CUSTOM
#     command: ./my-filter --port 0   # any program that prints host:port, then serves

# init: [./home-arm.sh]          # on this computer, before the instance is ready
# init_inside: [./setup.sh]      # in the container, before the instance is ready
# terminate: [./stop.sh]         # on this computer, at the end of every instance
# baseline: [./is-clean.sh]      # then: must exit 0 before the deployment is offered again
# safe_state: [./stop-motors.sh] # on this computer: E-stop, dead-man's switch, lost filter
# dead_man: 2s                   # longest silence of the user; left out: no dead-man's switch
# estop_by_user: lock            # lock | end

# monitors:                      # look whether the hardware is well, also between instances
#   - run: ./battery.py 192.168.1.134
#     every: 30s
#     timeout: 10s
#     on_fail: lock              # lock | alert | terminate
# cooldown: 5m                   # rest after each instance
# hours: { time_zone: Europe/Berlin, open: [mon-fri 08:00-18:00] }
`;
