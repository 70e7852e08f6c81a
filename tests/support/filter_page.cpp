#include "tests/support/filter_page.hpp"

#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace edgecap::test {

namespace {

std::string trim(const std::string& text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string::npos)
    return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

/// The cells of a table's row; none for any other line.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> result;
  if (line.empty() || line.front() != '|')
    return result;
  std::istringstream in{line.substr(1)};
  for (std::string cell; std::getline(in, cell, '|');)
    result.push_back(trim(cell));
  return result;
}

template <class T>
std::optional<T> number(const std::string& cell) {
  if (cell.empty())
    return std::nullopt;
  return static_cast<T>(std::stoul(cell));
}

std::optional<std::string> text(const std::string& cell) {
  if (cell.empty())
    return std::nullopt;
  return cell;
}

filter_matrix read_page() {
  std::ifstream page{"docs/filter.md"};
  if (!page)
    throw std::runtime_error{"tests run where the project's docs/ is"};
  filter_matrix result;
  std::string table;
  for (std::string line; std::getline(page, line);) {
    const auto cells = cells_of(line);
    if (cells.empty())
      table.clear();
    else if (table.empty())
      table = cells[0];
    else if (cells[0].compare(0, 3, "---") == 0)
      continue;
    else if (table == "Filter")
      result.filters.emplace_back(
        cells.at(0),
        capture::filter_fields{text(cells.at(1)), text(cells.at(2)),
                               number<std::uint16_t>(cells.at(3)),
                               number<std::uint16_t>(cells.at(4)),
                               number<std::uint8_t>(cells.at(5))});
    else if (table == "Packet") {
      std::istringstream names{cells.at(2)};
      auto& matching = result.matched_by[cells.at(0)];
      for (std::string name; names >> name;)
        matching.insert(name);
    }
  }
  return result;
}

} // namespace

const filter_matrix& filter_page() {
  static const auto result = read_page();
  return result;
}

} // namespace edgecap::test
