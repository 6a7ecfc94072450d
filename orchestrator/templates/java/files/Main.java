import java.util.List;

public class Main {
    public static void main(String[] args) {
        var even = List.of(1, 2, 3, 4, 5, 6).stream().filter(number -> number % 2 == 0).toList();
        System.out.println("Hello from Java " + Runtime.version().feature());
        System.out.println("Even: " + even);
    }
}
