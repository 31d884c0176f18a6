import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;

/**
 * Starts DynamoDB Local on 127.0.0.1 only. Its own launcher listens on every
 * interface and has no option for it, so the address is set on the web server
 * inside before it starts. The arguments are those of DynamoDB Local.
 */
public final class Loopback {
  public static void main(String[] args) throws Exception {
    DynamoDBProxyServer local = ServerRunner.createServerFromCommandLineArgs(args);
    var field = DynamoDBProxyServer.class.getDeclaredField("server");
    field.setAccessible(true);
    var connector = (ServerConnector) ((Server) field.get(local)).getConnectors()[0];
    connector.setHost("127.0.0.1");
    local.safeStart();
    System.out.println("listening on 127.0.0.1:" + connector.getLocalPort());
    local.join();
  }
}
