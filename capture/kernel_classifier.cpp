#include "capture/kernel_classifier.hpp"

#include "capture/errno_error.hpp"
#include "capture/packet_rules.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdarg>
#include <string>
#include <system_error>
#include <utility>

namespace edgecap::capture {

// The compiled classifier.bpf.c; the build makes the source of these.
extern const unsigned char classifier_object[];
extern const std::size_t classifier_object_bytes;

namespace {

constexpr const char* attempt = "load the classifier into the kernel";

static_assert(sizeof(header_kinds) == sizeof classifier_rules::header_kinds);
static_assert(sizeof extension_headers
              == sizeof classifier_rules::extension_headers);
static_assert(sizeof vlan_ethertypes
              == sizeof classifier_rules::vlan_ethertypes);

/// The last word of a key, where only these are not 0.
std::uint64_t last_word(unsigned family, unsigned fields) {
  flow_key key{};
  key.family = static_cast<__u8>(family);
  key.fields = static_cast<__u8>(fields);
  return words_of(key).back();
}

/// Where a key is in the crowd.
std::uint64_t place_of(const flow_key& key, const flow_hash& hash) {
  const auto words = words_of(key);
  return hash.sum(words, 0, words.size()) >> (64 - crowd_bits);
}

classifier_rules rules_for(filter_layout layout, const flow_hash& hash) {
  classifier_rules result{};
  for (unsigned fields = 0; fields < field_combinations; ++fields)
    result.masks[fields] = mask_of(fields);
  std::copy(kind_of_header.begin(), kind_of_header.end(), result.header_kinds);
  std::copy(extension_headers.begin(), extension_headers.end(),
            result.extension_headers);
  std::transform(vlan_ethertypes.begin(), vlan_ethertypes.end(),
                 result.vlan_ethertypes,
                 [](auto ethertype) { return htons(ethertype); });
  result.header_with_ports = header_with_ports;
  result.raw_ip = layout == filter_layout::raw_ip ? 1 : 0;
  result.network_offset = layout == filter_layout::ethernet ? ETH_HLEN : 0;
  result.max_vlan_tags = max_vlan_tags;
  result.max_extension_headers = max_extension_headers;
  result.far_away = far_away;
  result.every_packet = every_packet;
  std::copy(hash.factors.begin(), hash.factors.end(), result.factors);
  result.one_family = last_word(1, 0);
  result.one_field = last_word(0, 1);
  return result;
}

/// @param error errno.
tl::unexpected<capture_error> fail_load(int error) {
  if (error == EPERM || error == ENOMEM || error == EMFILE || error == ENFILE)
    return fail_errno(attempt, error);
  // "Too complex": without that right the verifier also follows the paths that
  // a processor might take by mistake.
  if (error == EFAULT)
    return fail(capture_errc::not_permitted,
                std::string{attempt} + ": CAP_PERFMON is missing");
  // The rest is what the kernel says of what it does not know or accept, in
  // part in words that mean a lack of rights elsewhere (EACCES).
  return fail(capture_errc::not_supported,
              std::string{attempt} + ": "
                + std::generic_category().message(error));
}

/// libbpf would write to the standard error what our errors say.
int print_nothing(libbpf_print_level, const char*, va_list) {
  return 0;
}

} // namespace

void kernel_classifier::closer::operator()(bpf_object* x) const {
  bpf_object__close(x);
}

void kernel_classifier::closer::operator()(classifier_state* x) const {
  ::munmap(x, sizeof *x);
}

// -- loading ------------------------------------------------------------------

expected<kernel_classifier>
kernel_classifier::create(filter_layout layout, std::uint32_t snaplen_bytes) {
  libbpf_set_print(print_nothing);
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "edgecap";
  object_pointer object{
    bpf_object__open_mem(classifier_object, classifier_object_bytes, &options)};
  if (object == nullptr)
    return fail_load(errno);
  auto* const constants = bpf_object__find_map_by_name(object.get(), ".rodata");
  auto* const memory = bpf_object__find_map_by_name(object.get(), ".bss");
  auto* const rows = bpf_object__find_map_by_name(object.get(), "rows");
  auto* const program
    = bpf_object__find_program_by_name(object.get(), "classify");
  const auto hash = make_flow_hash();
  const auto rules = rules_for(layout, hash);
  assert(constants && memory && rows && program);
  // These fail before it is loaded only if the names or sizes are not ours.
  if (bpf_map__set_initial_value(constants, &rules, sizeof rules) != 0
      || bpf_map__set_max_entries(rows, max_keys) != 0)
    return fail_load(EINVAL);
  if (const auto error = bpf_object__load(object.get()))
    return fail_load(-error);
  auto* const state
    = ::mmap(nullptr, sizeof(classifier_state), PROT_READ | PROT_WRITE,
             MAP_SHARED, bpf_map__fd(memory), 0);
  if (state == MAP_FAILED)
    return fail_load(errno);
  kernel_classifier result{std::move(object),
                           state_pointer{static_cast<classifier_state*>(state)},
                           bpf_program__fd(program), bpf_map__fd(rows), hash};
  result.set_snaplen(snaplen_bytes);
  return result;
}

kernel_classifier::kernel_classifier(object_pointer object, state_pointer state,
                                     int program, int rows,
                                     const flow_hash& hash)
  : object_(std::move(object)), state_(std::move(state)), program_(program),
    rows_(rows), entries_(0, hash), crowd_(std::size_t{1} << crowd_bits) {}

kernel_classifier::kernel_classifier(kernel_classifier&&) noexcept = default;
kernel_classifier&
kernel_classifier::operator=(kernel_classifier&&) noexcept = default;
kernel_classifier::~kernel_classifier() = default;

// -- rows ---------------------------------------------------------------------

expected<void> kernel_classifier::insert(const flow_match& match,
                                         sampling_threshold threshold) {
  assert(threshold > 0);
  const auto key = key_of(match);
  auto [place, added] = entries_.try_emplace(words_of(key));
  auto& x = place->second;
  // The key without fields is not in the kernel's map.
  if (added && key.fields != 0
      && entries_.size() - keys_[family_any][0] > max_keys) {
    entries_.erase(place);
    return fail(capture_errc::io, "add a filter to the classifier: it has "
                                    + std::to_string(max_keys)
                                    + " different ones already");
  }
  const auto before = x.highest();
  ++x.thresholds[threshold];
  if (x.highest() == before)
    return {};
  auto ok = write(key, x);
  if (!ok)
    take_out(place, threshold);
  else if (before == 0)
    count(key, 1);
  return ok;
}

expected<void> kernel_classifier::erase(const flow_match& match,
                                        sampling_threshold threshold) {
  const auto key = key_of(match);
  const auto place = entries_.find(words_of(key));
  assert(place != entries_.end());
  const auto before = place->second.highest();
  const auto rows_left = take_out(place, threshold);
  if (!rows_left) {
    count(key, -1);
    return write(key, {});
  }
  if (place->second.highest() == before)
    return {};
  return write(key, place->second);
}

/// Forgets one row of an entry. Returns false if that is gone with it.
bool kernel_classifier::take_out(entries::iterator place,
                                 sampling_threshold threshold) {
  auto& x = place->second;
  const auto rows = x.thresholds.find(threshold);
  assert(rows != x.thresholds.end());
  if (--rows->second == 0)
    x.thresholds.erase(rows);
  if (!x.thresholds.empty())
    return true;
  entries_.erase(place);
  return false;
}

/// Tells the kernel the highest threshold of a key.
expected<void> kernel_classifier::write(const flow_key& key, const entry& x) {
  const std::uint32_t threshold = x.highest();
  if (key.fields == 0) {
    __atomic_store_n(&state_->everything, threshold, __ATOMIC_RELAXED);
    return {};
  }
  const auto error = threshold == 0
                       ? bpf_map_delete_elem(rows_, &key)
                       : bpf_map_update_elem(rows_, &key, &threshold, BPF_ANY);
  if (error != 0)
    return fail_errno("change a filter of the classifier", -error);
  return {};
}

/// Counts a key in, or out. The kernel does not look for shapes that no row
/// has, and hardly for keys.
void kernel_classifier::count(const flow_key& key, int change) {
  auto& keys = keys_[key.family][key.fields];
  keys += static_cast<std::size_t>(change);
  if (key.fields == 0)
    return; // Needs no search.
  const auto place = place_of(key, entries_.hash_function());
  crowd_[place] = static_cast<std::uint16_t>(crowd_[place] + change);
  const auto crowd_bit = 1u << place % 8;
  auto* const byte = &state_->crowd[place / 8];
  __atomic_store_n(byte,
                   static_cast<__u8>(crowd_[place] == 0 ? *byte & ~crowd_bit
                                                        : *byte | crowd_bit),
                   __ATOMIC_RELEASE);
  const auto bit = std::uint32_t{1} << key.fields;
  auto* const shapes = &state_->shapes[key.family];
  __atomic_store_n(shapes, keys == 0 ? *shapes & ~bit : *shapes | bit,
                   __ATOMIC_RELEASE);
}

// -- sockets ------------------------------------------------------------------

void kernel_classifier::set_snaplen(std::uint32_t bytes) {
  assert(bytes > 0);
  __atomic_store_n(&state_->snaplen_bytes, bytes, __ATOMIC_RELAXED);
}

expected<void> kernel_classifier::attach(int socket) const {
  if (::setsockopt(socket, SOL_SOCKET, SO_ATTACH_BPF, &program_,
                   sizeof program_)
      != 0)
    return fail_errno("attach the classifier", errno);
  return {};
}

} // namespace edgecap::capture
