#include "capture/merge.hpp"

#include "capture/output_file.hpp"
#include "capture/pcapng.hpp"
#include "capture/run_reader.hpp"
#include "capture/sll2.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace edgecap::capture {

namespace {

/// Where the snaplen stands in the header of a classic savefile.
constexpr std::size_t savefile_snaplen_offset = 16;

/// What the inputs' buffers take together, unless they are so many that each
/// would have less than the least.
constexpr std::size_t all_buffers_bytes = 64u << 20;
constexpr std::size_t least_input_buffer_bytes = 16u << 10;

/// Largest link type that fits the field of a pcapng interface.
constexpr std::uint32_t max_pcapng_link = 0xffff;

tl::unexpected<capture_error> failure(const capture_error& x) {
  return tl::unexpected<capture_error>{x};
}

/// Time stamp as one number that compares like it.
std::uint64_t key_of(const record_header& x) {
  return std::uint64_t{x.seconds} << 32 | x.nanoseconds;
}

/// One input that has records.
struct merge_source {
  merge_source(run_reader&& opened, std::uint32_t number,
               const merge_input& described)
    : reader(std::move(opened)), index(number), input(described) {
    // nop
  }

  run_reader reader;
  std::uint32_t index; ///< Place among the inputs.
  merge_input input;
  bool converts = false; ///< Becomes LINUX_SLL2 in the classic savefile.
  std::uint64_t key = 0; ///< Of the next record.
  std::vector<record_place> places; ///< While a disordered input is read.
};

/// Orders by time, then by input.
bool before(const merge_source& x, const merge_source& y) {
  return x.key != y.key ? x.key < y.key : x.index < y.index;
}

/// The classic savefile's link type; fails if there is none for all.
expected<link_type> common_link(const std::vector<merge_input>& inputs,
                                const std::vector<merge_source>& sources) {
  std::vector<const merge_input*> decisive;
  decisive.reserve(inputs.size());
  for (const auto& x : sources)
    decisive.push_back(&x.input);
  if (decisive.empty())
    for (const auto& x : inputs)
      decisive.push_back(&x);
  if (decisive.empty())
    return link_type::ethernet;
  const auto first = decisive.front()->link;
  if (std::all_of(decisive.begin(), decisive.end(),
                  [&](auto* x) { return x->link == first; }))
    return first;
  for (const auto* x : decisive)
    if (x->link != link_type::linux_sll2 && !converts_to_sll2(x->link))
      return fail(capture_errc::unsupported_link_type,
                  "merge " + x->run.string() + ": its link type "
                    + std::to_string(static_cast<std::uint32_t>(x->link))
                    + " cannot be merged with others");
  return link_type::linux_sll2;
}

/// Opens an input and looks at its first record; empty if it has none.
expected<std::optional<run_reader>> open_input(file_system& files,
                                               const merge_input& input,
                                               std::size_t buffer_bytes) {
  if (input.run.empty())
    return std::nullopt;
  auto reader = run_reader::open(files, input.run, buffer_bytes);
  if (!reader)
    return failure(reader.error());
  if (reader->header().link != input.link)
    return fail(
      capture_errc::bad_savefile,
      "merge " + input.run.string() + ": its link type is "
        + std::to_string(static_cast<std::uint32_t>(reader->header().link))
        + " and not " + std::to_string(static_cast<std::uint32_t>(input.link)));
  const auto has_record = reader->fill();
  if (!has_record)
    return failure(has_record.error());
  if (!*has_record)
    return std::nullopt;
  return std::optional<run_reader>{std::move(*reader)};
}

class merge_impl final : public merge {
public:
  merge_impl(std::vector<merge_input> inputs, std::vector<merge_source> sources,
             merge_options options, link_type link, output_file pcap,
             std::optional<output_file> pcapng)
    : inputs_(std::move(inputs)), sources_(std::move(sources)),
      options_(std::move(options)), pcap_(std::move(pcap)),
      pcapng_(std::move(pcapng)) {
    result_.link = link;
    for (auto& x : sources_)
      x.converts = x.input.link != link;
    const auto grows = std::any_of(sources_.begin(), sources_.end(),
                                   [](auto& x) { return x.converts; });
    announced_pcap_ = std::min(
      options_.snaplen_bytes,
      max_captured_length - (grows ? std::uint32_t{sll2_header_bytes} : 0));
    if (grows)
      announced_pcap_ += sll2_header_bytes;
    announced_pcapng_ = std::min(options_.snaplen_bytes, max_captured_length);
    write_headers();
  }

  expected<bool> step(std::size_t budget_bytes) override {
    if (error_)
      return failure(*error_);
    auto done = advance(std::max<std::size_t>(budget_bytes, 1));
    if (!done)
      error_ = done.error();
    return done;
  }

  const merge_result& result() const override {
    return result_;
  }

private:
  // -- phases -----------------------------------------------------------------

  expected<bool> advance(std::size_t budget) {
    if (finished_)
      return true;
    if (sorted_ < sources_.size())
      if (auto sorted = sort_inputs(budget); !sorted)
        return failure(sorted.error());
    if (sorted_ < sources_.size())
      return false;
    if (!heap_built_)
      if (auto built = build_heap(); !built)
        return failure(built.error());
    while (budget > 0 && !heap_.empty()) {
      if (auto merged = merge_front(budget); !merged)
        return failure(merged.error());
      if (auto written = status(); !written)
        return failure(written.error());
    }
    if (!heap_.empty())
      return false;
    if (auto written = finish(); !written)
      return failure(written.error());
    finished_ = true;
    return true;
  }

  /// Finds the order of disordered inputs, as far as `budget` reaches.
  expected<void> sort_inputs(std::size_t& budget) {
    while (sorted_ < sources_.size() && budget > 0) {
      auto& x = sources_[sorted_];
      if (x.input.ordered) {
        ++sorted_;
        continue;
      }
      const auto more = x.reader.fill();
      if (!more)
        return failure(more.error());
      if (*more) {
        const auto header = x.reader.front_header();
        const auto size = std::uint32_t{sizeof header} + header.captured_length;
        x.places.push_back({header.time(), x.reader.position(), size});
        x.reader.pop();
        budget -= std::min<std::size_t>(budget, size);
        continue;
      }
      // Equal time stamps keep the order in which they were captured.
      std::stable_sort(
        x.places.begin(), x.places.end(),
        [](const auto& a, const auto& b) { return a.time < b.time; });
      x.reader.follow(std::exchange(x.places, {}));
      ++sorted_;
    }
    return {};
  }

  expected<void> build_heap() {
    for (auto& x : sources_) {
      const auto more = x.reader.fill();
      if (!more)
        return failure(more.error());
      if (!*more)
        return fail(capture_errc::io,
                    "merge " + x.input.run.string() + ": its records are gone");
      x.key = key_of(x.reader.front_header());
      heap_.push_back(&x);
    }
    // The sources are in input order: a stable sort by time is a heap.
    std::stable_sort(heap_.begin(), heap_.end(),
                     [](auto* x, auto* y) { return before(*x, *y); });
    heap_built_ = true;
    return {};
  }

  // -- merging ----------------------------------------------------------------

  /// Writes records of the first input until another one's turn has come, and
  /// puts it back in its place.
  expected<void> merge_front(std::size_t& budget) {
    auto& x = *heap_.front();
    const auto* rival = runner_up();
    const auto copies
      = !x.converts && options_.precision == time_precision::nanoseconds;
    // Records that are copied as they are, go out as one piece.
    const std::byte* piece = x.reader.front();
    std::size_t piece_bytes = 0;
    auto more = true;
    do {
      const auto header = x.reader.front_header();
      const auto size = sizeof header + header.captured_length;
      count(header);
      if (pcapng_)
        write_pcapng(x, header);
      if (copies)
        piece_bytes += size;
      else
        write_changed(x, header);
      budget -= std::min(budget, size);
      x.reader.pop();
      if (!x.reader.ready()) {
        pcap_.append(piece, std::exchange(piece_bytes, 0));
        const auto filled = x.reader.fill();
        if (!filled)
          return failure(filled.error());
        more = *filled;
        piece = more ? x.reader.front() : nullptr;
      }
      if (more)
        x.key = key_of(x.reader.front_header());
    } while (more && budget > 0 && (!rival || before(x, *rival)));
    if (piece_bytes > 0)
      pcap_.append(piece, piece_bytes);
    if (!more) {
      heap_.front() = heap_.back();
      heap_.pop_back();
    }
    sift_down();
    return {};
  }

  /// The input whose turn comes after the first one's.
  const merge_source* runner_up() const {
    if (heap_.size() < 2)
      return nullptr;
    if (heap_.size() == 2 || before(*heap_[1], *heap_[2]))
      return heap_[1];
    return heap_[2];
  }

  /// Moves the first input down to where it belongs.
  void sift_down() {
    for (std::size_t i = 0;;) {
      auto first = i;
      for (auto child = 2 * i + 1; child <= 2 * i + 2 && child < heap_.size();
           ++child)
        if (before(*heap_[child], *heap_[first]))
          first = child;
      if (first == i)
        return;
      std::swap(heap_[i], heap_[first]);
      i = first;
    }
  }

  void count(const record_header& header) {
    ++result_.packets;
    result_.captured_bytes += header.captured_length;
    largest_ = std::max(largest_, header.captured_length);
    last_time_ = header.time();
  }

  // -- output -----------------------------------------------------------------

  void write_headers() {
    const auto header
      = savefile_header(result_.link, announced_pcap_, options_.precision);
    pcap_.append(header.data(), header.size());
    if (!pcapng_)
      return;
    put(pcapng_section());
    for (const auto& x : inputs_)
      describe(x.link, x.interface_name);
    // libpcap reads no file without an interface.
    if (inputs_.empty())
      describe(link_type::ethernet, {});
  }

  void describe(link_type link, const std::string& name) {
    snaplen_offsets_.push_back(pcapng_->size_bytes() + pcapng_snaplen_offset);
    // One snaplen for all: libpcap refuses files in which it differs.
    put(pcapng_interface(link, announced_pcapng_, name));
  }

  void put(const pcapng_block& block) {
    pcapng_->append(block.data(), block.size());
  }

  /// Writes a record whose header or link type changes to the classic file.
  void write_changed(const merge_source& x, record_header header) {
    const auto* data = x.reader.front() + sizeof header;
    sll2_record changed;
    if (x.converts) {
      changed = to_sll2(x.input.link, x.input.interface_index, header, data);
      header.captured_length = changed.captured_length;
      header.original_length = changed.original_length;
    }
    largest_changed_ = std::max(largest_changed_, header.captured_length);
    if (options_.precision == time_precision::microseconds)
      header.nanoseconds /= 1000; // The field holds microseconds now.
    pcap_.append(&header, sizeof header);
    auto rest = header.captured_length;
    if (x.converts) {
      pcap_.append(changed.link_header.data(), changed.link_header.size());
      data += changed.skipped_bytes;
      rest -= std::uint32_t{sll2_header_bytes};
    }
    pcap_.append(data, rest);
  }

  void write_pcapng(const merge_source& x, const record_header& header) {
    static constexpr std::byte padding[3]{};
    const auto head = pcapng_packet(x.index, header);
    pcapng_->append(&head, sizeof head);
    pcapng_->append(x.reader.front() + sizeof header, header.captured_length);
    pcapng_->append(padding, -header.captured_length & 3);
    pcapng_->append(&head.block_length, sizeof head.block_length);
  }

  expected<void> status() const {
    if (auto written = pcap_.status(); !written || !pcapng_)
      return written;
    return pcapng_->status();
  }

  expected<void> finish() {
    const auto longest = std::max(largest_, largest_changed_);
    if (longest > announced_pcap_)
      pcap_.patch(savefile_snaplen_offset, &longest, sizeof longest);
    result_.pcap_bytes = pcap_.size_bytes();
    if (auto finished = pcap_.finish(); !finished || !pcapng_)
      return finished;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const auto& x = inputs_[i];
      const pcapng_counts counts{x.packets_received, x.dropped_by_interface,
                                 x.dropped_by_kernel};
      if (counts.received || counts.dropped_by_interface
          || counts.dropped_by_kernel)
        put(
          pcapng_statistics(static_cast<std::uint32_t>(i), last_time_, counts));
    }
    for (const auto offset : snaplen_offsets_)
      if (largest_ > announced_pcapng_)
        pcapng_->patch(offset, &largest_, sizeof largest_);
    result_.pcapng_bytes = pcapng_->size_bytes();
    return pcapng_->finish();
  }

  std::vector<merge_input> inputs_;
  std::vector<merge_source> sources_; ///< In input order.
  merge_options options_;
  merge_result result_;
  output_file pcap_;
  std::optional<output_file> pcapng_;
  std::uint32_t announced_pcap_ = 0;   ///< Snaplen in the file's header.
  std::uint32_t announced_pcapng_ = 0; ///< Snaplen of each interface.
  std::vector<std::uint64_t> snaplen_offsets_; ///< In the pcapng file.
  std::uint32_t largest_ = 0;                  ///< Captured length in the runs.
  std::uint32_t largest_changed_ = 0; ///< Captured length after conversion.
  unix_ns last_time_ = 0;             ///< Of the record written last.
  std::size_t sorted_ = 0;            ///< Sources that are in order.
  std::vector<merge_source*> heap_;   ///< The next record's source comes first.
  bool heap_built_ = false;
  bool finished_ = false;
  std::optional<capture_error> error_; ///< Of the step that failed.
};

} // namespace

expected<std::unique_ptr<merge>> merge::open(file_system& files,
                                             std::vector<merge_input> inputs,
                                             merge_options options) {
  std::vector<merge_source> sources;
  const auto buffer_bytes
    = std::clamp(all_buffers_bytes / std::max<std::size_t>(inputs.size(), 1),
                 least_input_buffer_bytes, run_reader::buffer_bytes);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto opened = open_input(files, inputs[i], buffer_bytes);
    if (!opened)
      return failure(opened.error());
    if (*opened)
      sources.emplace_back(std::move(**opened), static_cast<std::uint32_t>(i),
                           inputs[i]);
    if (!options.pcapng.empty()
        && static_cast<std::uint32_t>(inputs[i].link) > max_pcapng_link)
      return fail(capture_errc::unsupported_link_type,
                  "merge " + inputs[i].run.string()
                    + ": pcapng has no such link type");
  }
  const auto link = common_link(inputs, sources);
  if (!link)
    return failure(link.error());
  auto pcap = output_file::create(files, options.pcap);
  if (!pcap)
    return failure(pcap.error());
  std::optional<output_file> pcapng;
  if (!options.pcapng.empty()) {
    auto created = output_file::create(files, options.pcapng);
    if (!created)
      return failure(created.error());
    pcapng = std::move(*created);
  }
  return std::unique_ptr<merge>{std::make_unique<merge_impl>(
    std::move(inputs), std::move(sources), std::move(options), *link,
    std::move(*pcap), std::move(pcapng))};
}

} // namespace edgecap::capture
