# SPDX-License-Identifier: BSD-2-Clause
# make            build/mxlbd and build/mxlbctl, as an ordinary user
# make install    DESTDIR= PREFIX=/usr/local
# make deb        a Debian package, in build/deb
# make deb-check  the package's life on a clean Debian: installed, upgraded under traffic, purged (root)
# make check      all tests (root: network namespaces and BPF); installs what is missing
# make check-kernels  the package, packet tests and mail on the kernels of Debian 12, backports and sid, in VMs (root)
# make check-boot     the package on a Debian 12 that systemd has booted, in a VM (root)
# make check-trixie   builds on Debian 13, in a debootstrap of it (root)
# make demo       mail through the balancer in a lab of namespaces (root)
# make demo-ha    two balancers, and one of them loses its power under mail (root)
# make unit       the unit tests alone, under ASan and UBSan
# make packet     the kernel program, packet by packet (root)
# make model      the flow table against its model, packet by packet (root)
# make fuzz       each fuzz target for ten minutes
# make mutations  10^7 mutated frames through the program (root)
# make fuzz-packet  libFuzzer on the kernel program's native build
# make e2e-ipip   mail, failover and flows through tunnels, all of their tests (root)
# make games      sessions against ring changes, floods and forgeries; probes and what they log: a minute each (root)
# make floods-of REV=7bee90b  the floods among the games, against another revision (root, ten minutes)
# make failover-of REV=7bee90b  how soon an ill server is out, beside another revision (root, a quarter of an hour)
# make upgrade-of REV=7bee90b  an upgrade from another revision, and back, under mail: no session breaks (root, five minutes)
# make costs      how fast a server's death is told beside servers that cost a probe much CPU, as a table (root, ten minutes)
# make chaos      10,000 messages to five servers while faults strike; MXLB_SEED=n replays (root, a quarter of an hour)
# make survive    starts killed at each of their calls, 1,000 reloads, two hours' worth of probes: half an hour (root)
# make check-devices  virtual NICs, bonds, VLANs, bridges and tunnels on distribution kernels in QEMU: tests/kernels/check-devices (root)
# make bench      what a packet costs, as a table and as build/bench.json (root)
# make bench-mail  what a message costs, beside nftables and HAProxy (root)
# make bench-instructions   the same in instructions, the same on every machine, by an emulated CPU (root)
# V=1 shows the commands.

PREFIX  ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system
DESTDIR ?=
B       ?= build
CC      ?= cc
CLANG   ?= clang
# Ubuntu has it in linux-tools-generic, behind a wrapper that refuses any other kernel than its own.
BPFTOOL ?= $(firstword $(wildcard /usr/lib/linux-tools/*/bpftool /usr/sbin/bpftool) bpftool)
PKGS     = libbpf libmnl openssl yaml-0.1 jansson libmicrohttpd libseccomp libcap
# The version that mxlbd -V, the package, `show info` and /metrics give; and what it was built from.
VERSION  = 0.9.0
BUILD   := $(shell git describe --always --dirty 2>/dev/null || echo release)

WARN    = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Werror
CFLAGS ?= -O2 -g
HARDEN  = -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -fPIE \
	  $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
# Each narrowing is written as a cast. Not in net/: the loops over attributes are macros of libmnl.
$(B)/userspace/%.o $(B)/san/userspace/%.o: WARN += -Wconversion -Wno-sign-conversion
$(B)/userspace/net/%.o $(B)/san/userspace/net/%.o: WARN += -Wno-conversion
ALLFLAGS = -std=gnu11 $(WARN) -Iinclude -Iuserspace -I$(B) -D_GNU_SOURCE $(CPPFLAGS) \
	   -DMXLB_VERSION='"$(VERSION)"' -DMXLB_BUILD='"$(BUILD)"' $(shell pkg-config --cflags $(PKGS) 2>/dev/null) -MMD -MP
CTL_LIBS = $(shell pkg-config --libs openssl jansson yaml-0.1 libmnl libseccomp libcap 2>/dev/null) -lev
LIBS    = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lev -lm
SAN     = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

ifeq ($(V),1)
Q =
else
Q = @
endif

UTIL     = addr.c arp.c closest.c log.c buf.c process.c utf8.c capability.c statefile.c names.c
CORE     = config.c verdict.c health.c tier.c tally.c maglev.c event.c plan.c model.c build.c decide.c change.c model_event.c override.c diff.c cert.c problem.c reply.c dialog.c refusal.c blame.c passive.c warning.c panic.c reach.c certname.c domain.c tlsa.c schedule.c connlog.c
CONF     = conf.c file.c bundle.c errors.c tree.c value.c schema.c foreign.c sections.c tiers.c allow.c endpoints.c prefixes.c check.c warn.c salvage.c write.c
PROBE    = wire.c prober.c helpers.c spawn.c child.c session.c stall.c tls.c certfacts.c sandbox.c bundles.c wallclock.c certpolicy.c certpath.c transcript.c report.c
DATAPATH = load.c pins.c load_refusal.c attach.c vip_table.c apply.c counters.c flow_table.c rst_frame.c allow_map.c probetunnel.c detach.c pin_guard.c verify.c migrate.c
CORE    += cost.c endpoints_judge.c
NET      = netlink.c rtnl_request.c link.c neigh.c nexthop.c pmtu.c proberoute.c probeway.c viproute.c announce.c
PROBE   += pulse.c leaving.c quarantine.c guard.c
CONTROL  = control.c listen.c client.c operators.c commands.c request.c cmd_admin.c cmd_flows.c cmd_explain.c render.c cmd_events.c cmd_probe.c cmd_plan.c
CONTROL += render_values.c
DAEMON   = daemon.c periodic.c settle.c announcer.c answers.c traffic.c interfaces.c vip_conflict.c put_back.c watch.c evidence.c hints.c flow_jobs.c reload.c events.c hook.c sdnotify.c manual_probe.c detach_all.c connlog_writer.c

CORE    += resets.c diagnosis.c zone_finding.c
DAEMON  += reset_rounds.c kept_overrides.c

DATAPATH += sight.c offload.c

CORE    += role.c rejected.c dns.c zone.c zonemap.c tlsaset.c
CONF    += digest.c dns_section.c
DATAPATH += rejected_map.c pinned_view.c
CONTROL += cmd_role.c cmd_notify.c cmd_rejected.c cmd_zone.c
HAPROXY  = stat_row.c stat_words.c show_stat.c show_info.c typed.c
WEB      = http.c documents.c page.c history.c metrics.c metrics_service.c metrics_server.c metrics_ha.c metrics_zone.c exposition.c
DAEMON  += ha_role.c ha_files.c preview.c ha_routes.c rejected_log.c pinned_answers.c zones.c zones_draft.c zones_plan.c zones_tlsa.c zone_box.c
ZONE     = message.c resolver_child.c resolver.c lookup.c zone_store.c

SRC_util     = $(UTIL:%=userspace/util/%)
SRC_core     = $(CORE:%=userspace/core/%)
SRC_conf     = $(CONF:%=userspace/conf/%)
SRC_zone     = $(ZONE:%=userspace/zone/%)
SRC_probe    = $(PROBE:%=userspace/probe/%)
SRC_net      = $(NET:%=userspace/net/%)
SRC_datapath = $(DATAPATH:%=userspace/datapath/%)
SRC_control  = $(CONTROL:%=userspace/control/%)
SRC_haproxy  = $(HAPROXY:%=userspace/haproxy/%)
SRC_web      = $(WEB:%=userspace/web/%)
SRC_daemon   = $(DAEMON:%=userspace/daemon/%)
SRC_mxlbd    = userspace/mxlbd.c $(SRC_daemon) $(SRC_util) $(SRC_core) $(SRC_conf) \
	       $(SRC_probe) $(SRC_zone) $(SRC_net) $(SRC_datapath) $(SRC_control) $(SRC_haproxy) $(SRC_web)
SRC_ctl      = $(addprefix userspace/ctl/,ctl.c ctl_events.c ctl_complete.c ctl_top.c rates.c screen.c socket.c options.c text.c tables.c ctl_operate.c ctl_plan.c ctl_flows.c ctl_probe.c probe_view.c ctl_detach.c)
SRC_ctl     += $(addprefix userspace/ctl/,ctl_check.c ctl_setup.c ctl_config.c yaml.c nl.c wire_frame.c)
SRC_ctl     += userspace/ctl/pinned.c userspace/ctl/mxlbd_run.c
SRC_ctl     += $(addprefix userspace/ctl/,ctl_role.c ctl_notify.c ctl_endpoints.c ctl_zone.c)
SRC_ctl     += $(patsubst %,userspace/ctl/doctor/%.c,doctor findings box files net mail sniff interference device trial_load ha)
# what makes a probe: the parent, the child and the dialogue
SRC_probing  = $(SRC_probe) $(addprefix userspace/core/,reply.c dialog.c refusal.c blame.c verdict.c certname.c domain.c tlsa.c cost.c dns.c)
SRC_mxlbctl  = userspace/mxlbctl.c userspace/core/config.c userspace/core/endpoints_judge.c $(SRC_conf) $(SRC_ctl) $(SRC_probing) $(SRC_util)
obj = $(1:%.c=$(B)/%.o)

.PHONY: FORCE version all refused other-layout clean install check unit packet e2e games chaos demo demo-ha lint bench model mutations fuzz fuzz-packet e2e-ipip bench-instructions bench-mail deb deb-check survive kernels-build check-kernels check-boot check-trixie
all: have-tools $(B)/mxlbd $(B)/mxlbctl

.PHONY: have-tools
have-tools:
	@for tool in $(firstword $(CC)) $(firstword $(CLANG)) $(firstword $(BPFTOOL)) pkg-config; do \
		command -v "$$tool" >/dev/null || \
			{ echo "$$tool is missing; install what a build needs: sudo scripts/install-deps build" >&2; exit 1; }; done

# The kernel program, then its skeleton, which mxlbd and the packet tests include.
BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
BPF_MAIN ?= bpf/mxlb.bpf.c
$(B)/mxlb.bpf.o: $(BPF_MAIN) $(wildcard bpf/*.[ch]) $(wildcard include/mxlb/*.h)
	@mkdir -p $(@D)
	@echo "  BPF     $@"
	$(Q)$(CLANG) -target bpf -O2 -g -mcpu=v3 -Wall -Wextra -Werror -D__TARGET_ARCH_$(BPF_ARCH) \
		-Iinclude -Ibpf -I/usr/include/$(shell uname -m)-linux-gnu -c $< -o $@

$(B)/mxlb.skel.h: $(B)/mxlb.bpf.o
	@echo "  SKEL    $@"
	$(Q)$(BPFTOOL) gen skeleton $< name mxlb_bpf > $@.tmp && mv $@.tmp $@

$(call obj,$(SRC_datapath)) $(B)/san/tests/unit/test_load_refusal.o: | $(B)/mxlb.skel.h

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CC) $(CFLAGS) $(HARDEN) $(ALLFLAGS) -c $< -o $@

# Objects with the version are rebuilt when it changes; an unchanged file rebuilds nothing.
$(patsubst %,$(B)/userspace/%.o,mxlbd mxlbctl daemon/answers daemon/pinned_answers daemon/events): $(B)/version
$(B)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(BUILD)' | cmp -s - $@ || echo '$(VERSION) $(BUILD)' >$@
version: # for scripts
	@echo $(VERSION)
FORCE:

# Its parts are in it.
$(B)/userspace/web/page.o $(B)/san/userspace/web/page.o: $(wildcard userspace/web/page/*)

$(B)/mxlbd: $(call obj,$(SRC_mxlbd))
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now $(LDFLAGS) $^ -o $@ $(LIBS)

$(B)/mxlbctl: $(call obj,$(SRC_mxlbctl))
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now $(LDFLAGS) $^ -o $@ $(CTL_LIBS)

# Unit tests: tests/unit/test_X.c, each with the real .c files it tests, under the sanitizers.
core = $(1:%=userspace/core/%.c)
UNIT = addr diff conf confforeign confkeys conffile confcert confwrite wire_frame allow copies endpoints core health tier tally override maglev reach model plan ids reload reply dialog probe certname certpolicy certpath diagnosis control listen status stat cmd_admin cmd_flows ctl forgery schedule connlog hook
UNIT += http metrics blame passive panic kept play texts
unit_srcs_addr   = $(SRC_util)
unit_srcs_conf   = $(SRC_util) $(call core,config certname dns domain tlsa) $(SRC_conf) tests/unit/conf_bench.c
unit_srcs_conffile = $(unit_srcs_conf)
unit_srcs_confkeys = $(unit_srcs_conf)
unit_srcs_confforeign = $(unit_srcs_conf)
unit_srcs_confcert = $(unit_srcs_conf)
unit_srcs_allow  = $(unit_srcs_conf)
unit_srcs_wire_frame = userspace/util/addr.c userspace/util/arp.c userspace/ctl/wire_frame.c
unit_srcs_copies = $(unit_srcs_conf)
unit_srcs_endpoints = $(unit_srcs_conf)
unit_srcs_confwrite = $(unit_srcs_conf) userspace/ctl/yaml.c
unit_srcs_control = $(SRC_util) $(SRC_core) $(SRC_control) $(SRC_haproxy) $(SRC_web) tests/unit/control_bench.c
unit_srcs_listen = $(unit_srcs_control)
unit_srcs_http   = $(filter-out %/http.c,$(unit_srcs_control)) # http.c: included
unit_srcs_metrics = $(unit_srcs_control)
unit_srcs_status = $(unit_srcs_control) userspace/ctl/text.c
unit_srcs_stat   = $(unit_srcs_control)
unit_srcs_cmd_admin = $(unit_srcs_control)
unit_srcs_cmd_flows = $(unit_srcs_status)
unit_srcs_ctl    = $(sort $(unit_srcs_control) $(SRC_ctl) $(SRC_probing) $(SRC_conf)) # mxlbctl.c: included
unit_srcs_core   = $(SRC_util) $(call core,verdict event tier problem)
unit_srcs_health = $(call core,verdict health)
unit_srcs_tier   = $(call core,tier verdict)
unit_srcs_tally  = $(SRC_util) $(call core,verdict health tier tally event change decide model_event override cert model build plan warning blame refusal passive panic)
unit_srcs_schedule = $(call core,verdict health schedule)
unit_srcs_cost   = $(call core,cost)
unit_srcs_load_refusal = userspace/util/log.c # load_refusal.c: included
unit_srcs_hook   = $(unit_srcs_control) userspace/daemon/hook.c
unit_srcs_resets = userspace/util/addr.c $(call core,resets)
unit_srcs_connlog = userspace/util/addr.c $(call core,connlog)
unit_srcs_maglev = $(call core,maglev)
UNIT += role ha_files zone zonemap zone_store dns
unit_srcs_zone   = $(SRC_util) $(call core,dns zone zonemap tlsa)
unit_srcs_zonemap = $(unit_srcs_zone)
unit_srcs_zone_store = $(SRC_util) $(call core,dns zone zonemap tlsa) $(patsubst %,userspace/zone/%.c,lookup zone_store)
unit_srcs_dns    = $(SRC_util) $(call core,dns tlsaset tlsa verdict)
unit_srcs_role   = $(unit_srcs_model) $(call core,role)
unit_srcs_ha_files = $(unit_srcs_role) userspace/daemon/ha_files.c
UNIT += flood resets cost load_refusal endpoints_judge
unit_srcs_endpoints_judge = $(call core,endpoints_judge)
unit_srcs_forgery = tests/model/flowmodel.c tests/model/forgery.c
unit_srcs_flood  = tests/model/flowmodel.c tests/model/flood.c
unit_srcs_model  = $(SRC_util) $(call core,verdict health tier tally event change decide model_event override cert model build plan warning blame refusal passive panic)
unit_srcs_ids    = $(unit_srcs_model)
unit_srcs_plan   = $(filter-out userspace/core/plan.c,$(unit_srcs_model)) # plan.c: included
unit_srcs_override = $(unit_srcs_diff)
unit_srcs_diff   = $(SRC_util) $(call core,verdict health tier tally event change decide model_event cert model build override plan maglev diff warning blame refusal passive panic)
unit_srcs_reload = $(SRC_util) $(call core,model verdict health tier tally event change decide model_event override cert plan warning blame refusal passive panic) # build.c: included
unit_srcs_reply  = $(call core,reply)
unit_srcs_dialog = userspace/util/log.c $(call core,dialog refusal reply verdict)
unit_srcs_panic  = $(unit_srcs_blame)
unit_srcs_passive = $(unit_srcs_blame)
unit_srcs_blame  = $(call core,blame refusal passive panic verdict)
unit_srcs_texts  = $(unit_srcs_model)
unit_srcs_kept   = $(unit_srcs_model)
unit_srcs_play   = $(unit_srcs_model) userspace/core/schedule.c
unit_srcs_reach  = $(call core,reach)
unit_srcs_certname = userspace/util/utf8.c $(patsubst %,userspace/probe/%.c,certfacts certpolicy certpath) $(call core,certname domain tlsa)
unit_srcs_certpolicy = tests/unit/cert_maker.c $(unit_srcs_certname) userspace/probe/wallclock.c $(call core,verdict)
unit_srcs_diagnosis = $(unit_srcs_status)
unit_srcs_certpath = $(unit_srcs_certpolicy)
unit_srcs_probe  = userspace/util/log.c userspace/util/utf8.c $(patsubst %,userspace/probe/%.c,wire transcript certfacts) $(call core,certname)

define unit_rule
$(B)/unit/test_$(1): $(patsubst %.c,$(B)/san/%.o,tests/unit/test_$(1).c $(unit_srcs_$(1)))
	@echo "  LD      $$@"
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(SAN) $$^ -o $$@ $$(LIBS) -lcmocka
endef
$(foreach t,$(UNIT),$(eval $(call unit_rule,$(t))))

$(B)/san/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CC) $(SAN) $(ALLFLAGS) -c $< -o $@

unit: $(UNIT:%=$(B)/unit/test_%)
	$(Q)tests/run unit $^

# Fuzz targets (libFuzzer, so clang): tests/fuzz/fuzz_X.c and tests/fuzz/corpus/X/, with the real .c files, under the sanitizers.
FUZZ = certname reply dialog wire dns
fuzz_srcs_certname = $(unit_srcs_certname)
fuzz_srcs_reply  = $(call core,reply)
fuzz_srcs_dialog = $(unit_srcs_dialog)
fuzz_srcs_dns    = $(SRC_util) $(call core,dns zone zonemap tlsaset tlsa verdict) $(patsubst %,userspace/zone/%.c,message lookup)
fuzz_srcs_wire   = userspace/util/addr.c userspace/util/utf8.c $(call core,verdict) $(patsubst %,userspace/probe/%.c,wire report)
FUZZ_SAN = -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

define fuzz_rule
$(B)/fuzz/fuzz_$(1): $(patsubst %.c,$(B)/fuzz/%.o,tests/fuzz/fuzz_$(1).c $(fuzz_srcs_$(1)))
	@echo "  LD      $$@"
	$$(Q)$$(CLANG) $$(FUZZ_SAN) $$^ -o $$@ $$(LIBS)
endef
$(foreach t,$(FUZZ),$(eval $(call fuzz_rule,$(t))))

$(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	$(Q)$(CLANG) $(FUZZ_SAN) $(ALLFLAGS) -c $< -o $@

fuzz: $(FUZZ:%=$(B)/fuzz/fuzz_%)
	$(Q)MXLB_FUZZ_S=$${MXLB_FUZZ_S:-600} tests/run fuzz $^

# Packet tests: the real program under BPF_PROG_TEST_RUN, with the real datapath/ around it. As root.
PACKET = packets bond extensions flows flood icmp guard tamper tunnel toobig decap vlan redirect jumbo probe mutations fields rows
PACKET_SRC = tests/packet/bench.c $(SRC_util) $(SRC_core) $(SRC_net) $(SRC_datapath)
$(B)/packet/test_%: $(B)/san/tests/packet/test_%.o $(PACKET_SRC:%.c=$(B)/san/%.o)
	@echo "  LD      $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) $^ -o $@ $(LIBS) -lcmocka
$(patsubst %.c,$(B)/san/%.o,$(SRC_datapath) $(wildcard tests/packet/*.c)): | $(B)/mxlb.skel.h
$(addprefix $(B)/packet/test_,fields rows): $(B)/san/tests/packet/rows.o
$(addprefix $(B)/packet/test_,tunnel toobig): $(B)/san/tests/packet/tunnels.o
.PRECIOUS: $(B)/san/tests/packet/%.o

# The flow table's rules against their model; `make model` is 10^7 packets, without sanitizers.
FLOWS_SRC = tests/model/flowmodel.c tests/model/forgery.c \
	    $(patsubst %,tests/packet/flow%.c,bench beside cases forgery frame line places steps tally traffic)
$(B)/packet/test_flows: $(FLOWS_SRC:%.c=$(B)/san/%.o)
$(call obj,$(wildcard tests/packet/*.c)): | $(B)/mxlb.skel.h
$(B)/model: $(call obj,tests/packet/test_flows.c $(FLOWS_SRC) $(PACKET_SRC))
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -pie $^ -o $@ $(LIBS) -lcmocka

model: $(B)/model
	$(Q)MXLB_PACKETS=$${MXLB_PACKETS:-10000000} $<

# Mutated frames through the program, in the kernel and built natively; `make mutations` is 10^7 of them.
NATIVE = $(patsubst %,$(B)/san/tests/packet/%.o,native mutate ways)
$(NATIVE): ALLFLAGS += -Itests/packet/native -Ibpf -Wno-unknown-pragmas -fno-strict-aliasing \
	-fno-sanitize=alignment # of packets, which have none
$(B)/packet/test_mutations: $(NATIVE)
mutations: $(B)/packet/test_mutations
	$(Q)MXLB_SEED=$${MXLB_SEED:-$$(date +%s)} MXLB_MUTATIONS=$${MXLB_MUTATIONS:-10000000} $<

# libFuzzer on the native build, for as long as MXLB_FUZZ_S says; what it finds lies in $(B)/fuzz.
FUZZ_SRC = tests/fuzz/fuzz_packet.c $(patsubst %,tests/packet/%.c,native nativesite mutate ways) \
	   userspace/datapath/vip_table.c userspace/util/addr.c
$(B)/fuzz-packet: $(FUZZ_SRC) $(wildcard bpf/*.[ch] include/mxlb/*.h tests/packet/*.h) $(B)/mxlb.skel.h
	@echo "  CLANG   $@"
	$(Q)$(CLANG) $(SAN) -fsanitize=fuzzer -fno-sanitize=alignment -fno-strict-aliasing $(filter-out -MMD -MP,$(ALLFLAGS)) \
		-Wno-pass-failed -Itests/packet/native -Ibpf $(FUZZ_SRC) -o $@

fuzz-packet: $(B)/fuzz-packet
	$(Q)mkdir -p $(B)/fuzz/packet && $< -write-corpus $(B)/fuzz/packet
	$(Q)$< -max_len=4096 -max_total_time=$${MXLB_FUZZ_S:-60} -artifact_prefix=$(B)/fuzz/ -print_final_stats=1 $(B)/fuzz/packet

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# The benchmark: the datapath as it is shipped, and a kernel side of its own (root).
BENCH = $(B)/tests/bench
SRC_bench = $(patsubst %,tests/bench/%.c,bench sender subject cpus rings report) $(SRC_util) $(SRC_core) $(SRC_net) $(SRC_datapath)
$(BENCH)/bench.bpf.o: tests/bench/bench.bpf.c tests/bench/job.h $(wildcard include/mxlb/*.h)
	@mkdir -p $(@D)
	@echo "  BPF     $@"
	$(Q)$(CLANG) -target bpf -O2 -g -mcpu=v3 -Wall -Wextra -Werror -Iinclude \
		-I/usr/include/$(shell uname -m)-linux-gnu -c $< -o $@

$(BENCH)/bench.skel.h: $(BENCH)/bench.bpf.o
	@echo "  SKEL    $@"
	$(Q)$(BPFTOOL) gen skeleton $< name bench_bpf > $@.tmp && mv $@.tmp $@

$(call obj,$(filter tests/bench/%,$(SRC_bench))): ALLFLAGS += -I$(BENCH)
$(call obj,$(filter tests/bench/%,$(SRC_bench))): | $(B)/mxlb.skel.h $(BENCH)/bench.skel.h
$(BENCH)/bench: $(call obj,$(SRC_bench))
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -pie $^ -o $@ $(LIBS)

bench: $(BENCH)/bench
	$(Q)$< --json $(B)/bench.json

bench-mail: all
	$(Q)scripts/install-deps build lab bench
	$(Q)MXLB_B=$(B) tests/bench/mail.py

# The emulated clock moves by 2 ns with each instruction (scripts/vm --icount).
bench-instructions: $(BENCH)/bench
	$(Q)scripts/vm --get 6.12
	$(Q)scripts/vm --icount --smp 1 --mem 2048 6.12 "$< --instruction-ns 2 --rounds 1 --packets 20000 --steps 1"

# What tests/e2e/test_probe.py drives: the probe alone, as it is shipped and under the sanitizers.
PROBE_ONCE = tests/tools/probe-once.c $(SRC_util) $(SRC_probing) userspace/core/config.c
$(B)/probe-once: $(call obj,$(PROBE_ONCE))
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -pie $^ -o $@ $(LIBS)

$(B)/san/probe-once: $(PROBE_ONCE:%.c=$(B)/san/%.o)
	@echo "  LD      $@"
	$(Q)$(CC) $(SAN) $^ -o $@ $(LIBS)

# What tests/e2e/test_netlink*.py drives: the netlink part alone, under the sanitizers.
$(B)/netlink-drive: $(patsubst %.c,$(B)/san/%.o,tests/tools/netlink-drive.c $(SRC_util) $(SRC_net))
	@echo "  LD      $@"
	$(Q)$(CC) $(SAN) $^ -o $@ $(LIBS)

# What tests/e2e/test_flows.py floods the lab with.
$(B)/forge-packets: $(call obj,tests/tools/forge-packets.c)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) -pie $^ -o $@

# An mxlbd, and its mxlbctl, whose program every verifier refuses: for tests/kernels/refused.sh and test_refusals.py.
refused:
	$(Q)$(MAKE) --no-print-directory B=$(B)/refused BPF_MAIN=tests/kernels/refused.bpf.c all

# Programs whose maps have another layout, for upgrades.
other-layout:
	$(Q)+layout=$$(awk '/define MXLB_LAYOUT/ {print $$3 + 1}' include/mxlb/abi.h) && \
		$(MAKE) --no-print-directory B=$(B)/layout$$layout CPPFLAGS=-DMXLB_LAYOUT=$$layout all

lint: all
	$(Q)tests/run lint

# Several pytests run beside each other: what both need is built before.
TOOLS = $(addprefix $(B)/,probe-once san/probe-once netlink-drive forge-packets)
e2e: all refused other-layout $(TOOLS)
	$(Q)MXLB_B=$(B) tests/run e2e

# Mail, failover and flows once more, all of them through tunnels: of the VIP's family, and of the other.
e2e-ipip: all
	$(Q)for forward in ipip ipip6; do MXLB_B=$(B) MXLB_LAB_FORWARD=$$forward tests/run e2e \
		$(patsubst %,tests/e2e/test_%.py,mail failover flows) || exit 1; done

# The games that `check` plays for seconds, for a minute each.
games: all
	$(Q)MXLB_B=$(B) MXLB_GAMES_S=60 tests/run e2e $(patsubst %,tests/e2e/test_%.py,flows floods bounds allow mtas socket evidence pair routes ecmp)

# Another revision's programs, which the three targets below compare with.
REV ?= 7bee90b
define build_other
$(Q)rm -rf $(B)/of-$(REV) && mkdir -p $(B)/of-$(REV) && git archive $(REV) | tar -x -C $(B)/of-$(REV)
$(Q)$(MAKE) -s -C $(B)/of-$(REV) B=build all
endef

# The floods against another revision's mxlbd, for comparison; what it does not withstand fails.
.PHONY: floods-of
floods-of:
	$(build_other)
	$(Q)MXLB_B=$(B) MXLB_INSTALLED=$(abspath $(B)/of-$(REV)/build) MXLB_GAMES_S=60 tests/run e2e tests/e2e/test_floods.py

# How soon a server that is really ill is out, beside another revision's mxlbd, in turns.
.PHONY: failover-of
failover-of: all
	$(build_other)
	$(Q)MXLB_B=$(B) MXLB_BEFORE=$(abspath $(B)/of-$(REV)/build) tests/run e2e tests/e2e/test_before.py -n 2

# Sessions over an upgrade from another revision's mxlbd and back.
.PHONY: upgrade-of
upgrade-of: all
	$(build_other)
	$(Q)MXLB_B=$(B) MXLB_BEFORE=$(abspath $(B)/of-$(REV)/build) tests/run e2e tests/e2e/test_upgrade.py

# How long another server's death stays untold, with 0, 1 and 8 servers of each way to be expensive.
.PHONY: costs
costs: all
	$(Q)MXLB_B=$(B) MXLB_COSTS=full tests/run e2e tests/e2e/test_cost.py

chaos: all
	$(Q)MXLB_B=$(B) MXLB_CHAOS=long tests/run e2e tests/e2e/test_chaos.py

# What `check` takes samples of.
survive: all
	$(Q)MXLB_B=$(B) MXLB_SURVIVE=1 tests/run e2e $(patsubst %,tests/e2e/test_%.py,cuts errors survive bounds)

packet: $(PACKET:%=$(B)/packet/test_%)
	$(Q)tests/run packet $^

# The build is a make of its own: what it needs may just have been installed. KERNELS="6.1:short 6.12:load" adds these, in VMs.
TESTS_unit   = $(UNIT:%=$(B)/unit/test_%)
TESTS_packet = $(PACKET:%=$(B)/packet/test_%)
TESTS_fuzz   = $(FUZZ:%=$(B)/fuzz/fuzz_%)
# Those on which more is done than to load the program. (No comment behind it: make would keep the space before it.)
FULL_KERNELS = $(filter-out %:load,$(KERNELS))
check:
	$(Q)scripts/install-deps build lab test deb $(KERNELS:%=vm)
	$(Q)$(MAKE) --no-print-directory all refused other-layout $(TESTS_unit) $(TESTS_packet) $(TESTS_fuzz) $(TOOLS) $(and $(FULL_KERNELS),kernels-build)
	$(Q)MXLB_B=$(B) tests/run lint unit $(TESTS_unit) packet $(TESTS_packet) fuzz $(TESTS_fuzz) e2e $(and $(KERNELS),kernels $(if $(FULL_KERNELS),$(VMS),$(B)) $(KERNELS))

# What the VMs run: the package, a build with another layout, and the packet tests without sanitizers, which are too slow there.
VMS = $(B)/kernels
kernels-build:
	$(Q)$(MAKE) --no-print-directory B=$(VMS) SAN='-O2 -g' all refused other-layout $(TESTS_packet:$(B)/%=$(VMS)/%)
	$(Q)rm -rf $(VMS)/deb
	$(Q)MAKEFLAGS= DEB_BUILD_OPTIONS=noautodbgsym scripts/make-deb $(VMS)/deb >/dev/null

check-kernels:
	$(Q)scripts/install-deps build lab test deb vm
	$(Q)$(MAKE) --no-print-directory kernels-build
	$(Q)tests/run kernels $(VMS) $(KERNELS)

# The package on a Debian 12 that its own systemd and kernel have booted, before and after a reboot.
check-boot:
	$(Q)scripts/install-deps build lab test deb vm
	$(Q)$(MAKE) --no-print-directory kernels-build
	$(Q)tests/run kernels $(VMS) boot

# The build and the unit tests on Debian 13.
check-trixie:
	$(Q)scripts/install-deps deb
	$(Q)scripts/check-release trixie

# KERNELS: as scripts/vm names them.
.PHONY: check-devices
check-devices: all
	$(Q)B=$(B) tests/kernels/check-devices $(KERNELS)

demo demo-ha:
	$(Q)B=$(B) scripts/$@

MAN_TO = $(DESTDIR)$(PREFIX)/share/man
install: all
	install -D -m 755 $(B)/mxlbd $(DESTDIR)$(PREFIX)/sbin/mxlbd
	install -D -m 755 $(B)/mxlbctl $(DESTDIR)$(PREFIX)/bin/mxlbctl
	install -D -m 644 scripts/mxlbctl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mxlbctl
	for recipe in mail webhook; do \
		install -D -m 755 scripts/notify/$$recipe $(DESTDIR)$(PREFIX)/lib/mxlb/notify-$$recipe || exit; done
	install -D -m 755 scripts/fetch-endpoints $(DESTDIR)$(PREFIX)/lib/mxlb/fetch-endpoints
	install -D -m 644 scripts/prometheus/mxlb.rules.yml $(DESTDIR)$(PREFIX)/share/mxlb/mxlb.rules.yml
	install -D -m 644 scripts/grafana/mxlb.json $(DESTDIR)$(PREFIX)/share/mxlb/grafana.json
	install -D -m 644 scripts/mxlb.service $(DESTDIR)$(UNITDIR)/mxlb.service
	install -m 644 scripts/mxlb-endpoints.service scripts/mxlb-endpoints.timer $(DESTDIR)$(UNITDIR)
	sed -i 's,@PREFIX@,$(PREFIX),' $(DESTDIR)$(UNITDIR)/mxlb.service $(DESTDIR)$(UNITDIR)/mxlb-endpoints.service
	install -m 644 scripts/sys-fs-bpf-mxlb.mount $(DESTDIR)$(UNITDIR)
	install -D -m 644 scripts/mxlb.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/mxlb.conf
	install -D -m 644 scripts/ha/mxlb-ha.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/mxlb-ha.conf
	install -d $(MAN_TO)/man5 $(MAN_TO)/man8 $(DESTDIR)$(PREFIX)/share/doc/mxlb/examples
	install -m 644 userspace/man/*.5 $(MAN_TO)/man5
	install -m 644 userspace/man/*.8 $(MAN_TO)/man8
	install -D -m 644 userspace/etc/mxlb.schema.json $(DESTDIR)$(PREFIX)/share/mxlb/mxlb.schema.json
	install -D -t $(DESTDIR)$(PREFIX)/share/doc/mxlb/examples/ha -m 644 scripts/ha/*
	install -m 644 README.md CHANGELOG.md docs/*.md $(DESTDIR)$(PREFIX)/share/doc/mxlb
	sed 's,$$schema=,&$(PREFIX)/share/mxlb/,' userspace/etc/mxlb.yaml >$(DESTDIR)$(PREFIX)/share/doc/mxlb/examples/mxlb.yaml

deb:
	$(Q)scripts/make-deb $(B)/deb

# What `check` does on this machine's own system (in an overlay).
deb-check:
	$(Q)scripts/install-deps build lab test deb
	$(Q)$(MAKE) --no-print-directory all
	$(Q)MXLB_B=$(B) MXLB_DEBOOTSTRAP=1 tests/run e2e $(patsubst %,tests/e2e/test_%.py,deb package booted)

clean:
	rm -rf $(B)
