/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scripts of `server-setup`, for ctl_setup.c: @WORD@ is filled in there. docs/servers.md describes them. Each may
 * be run again, and says at its end how to undo it.
 */
#ifndef MXLB_CTL_SETUP_TEXT_H
#define MXLB_CTL_SETUP_TEXT_H

/* The commands for now and for each start are in a file that a unit runs, which works with any network manager. */
static const char linux_begin[] =
	"#!/bin/sh\n"
	"# @SERVER@ behind mxlb: VIP @VIP@, TCP port @PORT@, @HOW@.\n"
	"# As root on the server, for instance: mxlbctl server-setup linux @WHOSE@ | ssh root@@SERVER@ sh\n"
	"# It may be run repeatedly. The mail server must also listen on the VIP (Postfix: inet_interfaces = all).\n"
	"set -eu\n"
	"start=/usr/local/lib/mxlb/server-@UNIT@\n"
	"unit=mxlb-server-@UNIT@.service\n"
	"\n"
	"mkdir -p /usr/local/lib/mxlb /etc/sysctl.d /etc/systemd/system\n"
	"cat >\"$start\" <<'END'\n"
	"#!/bin/sh\n"
	"# Made by mxlbctl server-setup: prepares this server for @SERVICE@ at each start.\n"
	"set -eu\n"
	"# The VIP, for this host alone.\n"
	"ip address replace @VIP@/@LENGTH@ dev lo\n";

static const char linux_tunnel_begin[] =
	"# The end of the tunnel from the edge box; only packets from that box are unpacked.\n"
	"modprobe -q @MODULE@ || true\n";

static const char linux_tunnel_v6_outer[] =
	"# Devices of one inner family, made by former scripts, would conflict with the one for both.\n"
	"for former in @FORMER@; do\n"
	"\tip link delete \"$former\" 2>/dev/null || true\n"
	"done\n";

static const char linux_tunnel[] =
	"ip link show dev @DEVICE@ >/dev/null 2>&1 ||\n"
	"\tip link add @DEVICE@ type @TYPE@ local @LOCAL@ remote @REMOTE@\n"
	"ip link set @DEVICE@ up\n"
	"# Tell senders from the start what fits into the tunnel: TCP segments of @MSS@ bytes.\n"
	"ip @FAMILY@ route show default | sed 's/ linkdown//; s/ dead//; s/ expires \\([0-9]*\\)sec/ expires \\1/' |\n"
	"while read -r route; do\n"
	"\thad=${route##* advmss }\n"
	"\t[ \"$had\" = \"$route\" ] || [ \"${had%% *}\" -gt @MSS@ ] || continue # another tunnel wants less\n"
	"\troute=$(echo \"$route\" | sed 's/ advmss [0-9]*//')\n"
	"\t# shellcheck disable=SC2086\n"
	"\tip @FAMILY@ route replace $route advmss @MSS@\n"
	"done\n";

/*
 * The greater of "all" and the device's own value counts (ip-sysctl): 2 (loose) suffices here, whatever "all" says; but on a
 * device without an address loose drops as strict does (fib_validate_source), so the VIP is there too.
 */
static const char linux_tunnel_v4[] =
	"# No route to senders leads through the tunnel, so strict filtering would drop their packets. Loose filtering needs an address.\n"
	"ip address replace @VIP@/32 dev @DEVICE@\n"
	"sysctl -q -w net.ipv4.conf.@DEVICE@.rp_filter=2\n";

static const char linux_middle[] = "END\n"
				   "chmod 755 \"$start\"\n"
				   "\n";

static const char linux_quiet_v4[] =
	"# Never answer ARP for the VIP (only mxlb does), nor use it in ARP requests.\n"
	"cat >/etc/sysctl.d/50-mxlb.conf <<'END'\n"
	"net.ipv4.conf.all.arp_ignore=1\n"
	"net.ipv4.conf.all.arp_announce=2\n"
	"END\n"
	"sysctl -q -p /etc/sysctl.d/50-mxlb.conf\n";

static const char linux_end[] =
	"\"$start\"\n"
	"\n"
	"# Do the same after a restart.\n"
	"cat >\"/etc/systemd/system/$unit\" <<END\n"
	"[Unit]\n"
	"Description=What @SERVICE@ needs of a server behind mxlb\n"
	"Wants=network-online.target\n"
	"After=network-online.target networking.service systemd-networkd.service NetworkManager.service\n"
	"# Run again when the network manager is restarted.\n"
	"PartOf=networking.service systemd-networkd.service NetworkManager.service\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"RemainAfterExit=yes\n"
	"ExecStart=$start\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n"
	"END\n"
	"if [ -d /run/systemd/system ]; then\n"
	"\tsystemctl daemon-reload\n"
	"\tsystemctl -q enable \"$unit\"\n"
	"else\n"
	"\techo \"There is no systemd here: have $start run at each start.\" >&2\n"
	"fi\n"
	"echo \"Done. On the edge box: mxlbctl probe @SERVICE@/@SERVER@\"\n"
	"# To undo: systemctl disable mxlb-server-@UNIT@; ip address del @VIP@/@LENGTH@ dev lo; remove the files@UNDO@.\n";

static const char windows_tunnel[] =
	"# mxlb reaches this server through a tunnel (forward: ipip), which Windows cannot unpack. Put a second mxlb on its\n"
	"# network, with decap: {from: [@REMOTE@]} and this server with forward: l2. The server itself needs:\n";

static const char windows_script[] =
	"# @SERVER@ behind mxlb: VIP @VIP@, TCP port @PORT@, @HOW@.\n"
	"# Run it in an elevated PowerShell on the server. It may be run repeatedly.\n"
	"$ErrorActionPreference = 'Stop'\n"
	"$vip = '@VIP@'\n"
	"$port = @PORT@\n"
	"$loopback = 'mxlb'\n"
	"$rule = 'mxlb-@SERVICE@'\n"
	"\n"
	"# 1. A loopback adapter. Windows has no cmdlet that adds one.\n"
	"if (-not (Get-NetAdapter -Name $loopback -ErrorAction SilentlyContinue)) {\n"
	"    $new = Get-NetAdapter | Where-Object InterfaceDescription -like '*KM-TEST Loopback Adapter*' | Select-Object -First 1\n"
	"    if (-not $new) {\n"
	"        throw 'Add it first: hdwwiz.exe, choose by hand, Network adapters, Microsoft, Microsoft KM-TEST Loopback Adapter. Then run this again.'\n"
	"    }\n"
	"    Rename-NetAdapter -Name $new.Name -NewName $loopback\n"
	"}\n"
	"$adapter = Get-NetAdapter -Name $loopback\n"
	"\n"
	"# 2. Keep its address out of DNS: otherwise the server's name resolves to the VIP, which breaks Active Directory and the DAG.\n"
	"Set-DnsClient -InterfaceAlias $loopback -RegisterThisConnectionsAddress $false\n"
	"Get-CimInstance Win32_NetworkAdapterConfiguration -Filter \"InterfaceIndex=$($adapter.ifIndex)\" |\n"
	"    Invoke-CimMethod -MethodName SetTcpipNetbios -Arguments @{ TcpipNetbiosOptions = [uint32]2 } | Out-Null\n"
	"Disable-NetAdapterBinding -Name $loopback -ComponentID ms_msclient, ms_server\n"
	"\n"
	"# 3. The VIP, as a host address, and never as the source of the server's own connections.\n"
	"if (-not (Get-NetIPAddress -IPAddress $vip -ErrorAction SilentlyContinue)) {\n"
	"    New-NetIPAddress -InterfaceAlias $loopback -IPAddress $vip -PrefixLength @LENGTH@ -SkipAsSource $true | Out-Null\n"
	"}\n"
	"\n"
	"# 4. Packets for it arrive on the network adapter, and replies leave through it (weak host model).\n"
	"Set-NetIPInterface -InterfaceAlias $loopback -AddressFamily @WINFAMILY@ -WeakHostReceive Enabled -WeakHostSend Enabled -DadTransmits 0\n"
	"Get-NetRoute -DestinationPrefix '@DEFAULT@' | Select-Object -ExpandProperty ifIndex -Unique | ForEach-Object {\n"
	"    Set-NetIPInterface -InterfaceIndex $_ -AddressFamily @WINFAMILY@ -WeakHostReceive Enabled\n"
	"}\n"
	"\n"
	"# 5. The firewall.\n"
	"if (-not (Get-NetFirewallRule -Name $rule -ErrorAction SilentlyContinue)) {\n"
	"    New-NetFirewallRule -Name $rule -DisplayName 'Mail to the VIP of mxlb' -Direction Inbound -Action Allow `\n"
	"        -Protocol TCP -LocalAddress $vip -LocalPort $port | Out-Null\n"
	"}\n"
	"\n"
	"# 6. The receive connector must listen on the VIP too, as 'All available' addresses do. Make none for the probe.\n"
	"if (Get-Command Get-ReceiveConnector -ErrorAction SilentlyContinue) {\n"
	"    Get-ReceiveConnector -Server $env:COMPUTERNAME | Where-Object { $_.Bindings -match \":$port$\" } | Format-List Identity, Bindings\n"
	"}\n"
	"Write-Output 'Done. On the edge box: mxlbctl probe @SERVICE@/@SERVER@'\n"
	"# To undo: Remove-NetFirewallRule -Name $rule; Remove-NetIPAddress -IPAddress $vip\n";

#endif
