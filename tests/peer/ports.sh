# SPDX-License-Identifier: MIT
# Sourced behind server.sh: ports for servers of others, and waiting until somebody listens there.
free_port() { # of TCP and UDP; below those that outgoing connections get, or one of them may have it by the time it is used
    python3 -c 'import random, socket
while True:
    port = random.randint(12000, 32000)
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(port)
        break'
}
wait_for() { # PORT
    for _ in $(seq 200); do
        (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.05
    done
    fail "nothing listens on port $1"
}
