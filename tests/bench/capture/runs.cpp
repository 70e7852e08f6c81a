// Makes runs, and merges them as storage does; see README.md.
//
//   runs make PREFIX RUNS BYTES PROFILE
//   runs merge FILE RUN...
//
// The first writes about BYTES of numbered packets, each to one of RUNS files
// at random: PREFIX0 and so on. PROFILE is as for the generator. Some packets
// of different runs have the same time stamp. The second merges runs into a
// classic savefile. Both write how many packets these were as one line of JSON.

#include "capture/merge.hpp"
#include "capture/output_file.hpp"
#include "capture/posix_file_system.hpp"
#include "tests/bench/capture/profile.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace edgecap::capture;

/// As much as storage merges before it looks at its messages again
/// (`storage_options::seal_slice_bytes`).
constexpr std::size_t slice_bytes = 4u << 20;

constexpr std::size_t max_runs = 4096;
constexpr unix_ns first_time = 1'700'000'000'000'000'000;

template <class T>
T value_of(expected<T> x) {
  if (!x)
    throw std::runtime_error(x.error().message);
  if constexpr (!std::is_void_v<T>)
    return std::move(*x);
}

/// Its user names the files.
posix_file_system files{symbolic_links::followed};

void say(std::uint64_t packets) {
  std::printf(R"({"packets": %llu})"
              "\n",
              static_cast<unsigned long long>(packets));
}

void make(const std::string& prefix, std::size_t runs, std::uint64_t bytes,
          const std::string& profile) {
  if (runs < 1 || runs > max_runs)
    throw std::runtime_error("RUNS is 1 to 4096");
  const auto lengths = bench::lengths_of(profile);
  const auto header = savefile_header(link_type::ethernet, max_captured_length,
                                      time_precision::nanoseconds);
  std::vector<output_file> outputs;
  for (std::size_t i = 0; i < runs; ++i) {
    outputs.push_back(
      value_of(output_file::create(files, prefix + std::to_string(i))));
    outputs.back().append(header.data(), header.size());
  }
  std::mt19937_64 random{1}; // The same runs each time.
  std::array<std::byte, bench::largest_frame> frame{};
  auto time = first_time;
  std::uint64_t number = 0;
  for (std::uint64_t written = 0; written < bytes; ++number) {
    const auto draw = random();
    const auto length = lengths[number % lengths.size()];
    auto& file = outputs[draw % runs];
    // 0 to 127 ns apart: each run in its order, neighbours now and then alike.
    time += static_cast<unix_ns>(draw >> 57);
    std::memcpy(frame.data(), &number, sizeof number);
    const auto record = record_header::of(time, length, length);
    file.append(&record, sizeof record);
    file.append(frame.data(), length);
    written += sizeof record + length;
  }
  for (auto& file : outputs)
    value_of(file.finish());
  say(number);
}

void merge_all(const std::string& file, char** runs) {
  std::vector<merge_input> inputs;
  for (; *runs != nullptr; ++runs) {
    inputs.emplace_back();
    inputs.back().run = *runs;
  }
  merge_options options;
  options.pcap = file;
  const auto merge = value_of(merge::open(files, std::move(inputs), options));
  while (!value_of(merge->step(slice_bytes)))
    continue;
  say(merge->result().packets);
}

} // namespace

int main(int count, char** arguments) {
  const std::string verb = count > 1 ? arguments[1] : "";
  try {
    if (verb == "make" && count == 6)
      make(arguments[2], std::stoul(arguments[3]), std::stoull(arguments[4]),
           arguments[5]);
    else if (verb == "merge" && count > 3)
      merge_all(arguments[2], arguments + 3);
    else
      throw std::runtime_error("make PREFIX RUNS BYTES PROFILE, or merge FILE "
                               "RUN...");
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "runs: " << error.what() << '\n';
    return 1;
  }
}
