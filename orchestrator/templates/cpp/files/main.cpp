#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

int main() {
    std::vector<std::string> fruits{"cherry", "apple", "banana"};
    std::sort(fruits.begin(), fruits.end());

    std::cout << "Hello from C++\n";
    for (const auto& fruit : fruits) {
        std::cout << fruit << (&fruit == &fruits.back() ? '\n' : ' ');
    }
}
