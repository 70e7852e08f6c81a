#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace edgecap::bench {

/// Whose jobs they are.
inline constexpr const char* account = "023e105f4ecef8ad9ca31a8372d0c353";

/// Id of the n-th job: as random as a real one, so that jobs that were made one
/// after the other lie far apart in the index.
std::string id_of(std::uint64_t n);

/// Fills a storage directory with finished jobs and their files, as
/// docs/storage.md lays them out; the files have their sizes and no blocks. One
/// in ten has failed, one in ten is `full`, one in ten has a key. They were
/// submitted evenly over the last six days.
/// @throws std::exception
void write_jobs(const std::filesystem::path& directory, std::uint64_t jobs);

/// Sizes of the files of a job that has succeeded.
inline constexpr std::uint64_t savefile_bytes = 100;
inline constexpr std::uint64_t pcapng_bytes = 300;

} // namespace edgecap::bench
